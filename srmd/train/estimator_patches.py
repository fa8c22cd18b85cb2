"""The patches that estimators are trained on: LR patches with random blur and noise, and a pool that reuses them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from srmd.degradation import MAX_NOISE_LEVEL, Degradation, border, degrade
from srmd.estimator import SCALES, WINDOW, blur_parameters, turning_matrix
from srmd.kernel.families import gaussian
from srmd.packs.reader import PackedPictures
from srmd.pictures.dihedral import VIEWS, turn
from srmd.train.jpeg_patches import compress_patches
from srmd.train.special_patches import make_special
from srmd.train.unnatural_patches import draw_dots, draw_graphics

KERNEL_SIZE = 21  # HR pixels; at no scale are pictures blurred by kernels cut to 15×15
MAX_WIDTHS = {1: 2.6, 2: 2.6, 3: 3.2, 4: 4.0}  # HR pixels, by scale
MIN_WIDTH, MIN_VARIANCE, NO_BLUR_WIDTH = 0.1, 0.2, 0.05  # HR pixels: of isotropic, anisotropic and delta kernels
ISOTROPIC_SHARE, NO_BLUR_SHARE = 0.5, 0.1
SCALE_SHARES = (0.15, 0.35, 0.2, 0.3)  # of patches for x1, x2, x3 and x4
SIDE, MIN_SIDE = 96, 64  # LR pixels of the patches, and of the smallest part of them that is used
CROPS = 16  # that are degraded at once
CANDIDATES = 2  # random crops, of which the more detailed one is used
SPECIAL_SHARE, GREY_SHARE, LOW_CONTRAST_SHARE = 0.2, 0.1, 0.5
RESIZED_SHARE = 0.4  # of draws, whose pictures are made sharper or softer by resizing them
MIN_FACTOR, MAX_FACTOR = 0.4, 1.2  # by which they are resized
RESAMPLING = Image.Resampling.LANCZOS
GRAPHICS, DOTS = 1, 1  # of CROPS, that are drawn on the LR grid
EXTRA_NOISE_SHARE = 0.4  # of patches without noise, to which noise is added when they are used
CLEAN_JPEG_SHARE = 0.4  # of patches that are compressed: without noise in any case
POOL = 40_000  # patches kept in memory, 1.1 GB


class Patches(NamedTuple):
    """N LR patches and their degradation."""

    lr: Tensor  # (N, 3, h, h) uint8
    blur: Tensor  # (N, 3), see `blur_parameters`
    noise_levels: Tensor  # (N,), 0 to 255
    scales: Tensor  # (N,)
    jpeg: Tensor  # (N, 3), a `JpegCondition` for each patch

    def select(self, indices: Tensor) -> "Patches":
        """Some of the patches."""
        return Patches(*(values[indices] for values in self))

    def targets(self) -> Tensor:
        """What an estimator shall predict, (N, 4)."""
        return torch.cat([self.blur, self.noise_levels.log1p()[:, None] / 2], 1)


def draw_patches(pictures: PackedPictures, rng: np.random.Generator, scale: int) -> Patches:
    """2 · CROPS patches of a scale, two of each crop: one with little or no noise, one with more."""
    margin = border(scale, KERNEL_SIZE)  # LR pixels that depend on what is outside of a crop
    hr = _draw_hr(pictures, rng, (SIDE + 2 * margin) * scale)
    width1, width2, angle = draw_gaussians(rng, CROPS, scale)
    kernels = torch.from_numpy(gaussian(width1, width2, angle, KERNEL_SIZE)).float()
    clean = degrade(hr, Degradation.uniform(kernels, torch.zeros(CROPS)), scale)[..., margin:-margin, margin:-margin]
    clean, own_levels = clean * 255, np.zeros(CROPS)
    for index in range(GRAPHICS):
        clean[index] = _to_tensor(draw_graphics(rng, SIDE))
        width1[index] = width2[index] = NO_BLUR_WIDTH
    for index in range(GRAPHICS, GRAPHICS + DOTS):
        dots, own_levels[index] = draw_dots(rng, SIDE)
        clean[index] = _to_tensor(dots)
    blur = torch.from_numpy(blur_parameters(width1, width2, angle, scale)).float()
    levels = _draw_levels(rng)
    lr = add_noise(clean.repeat(2, 1, 1, 1), torch.from_numpy(levels).float(), rng)
    levels = torch.from_numpy(np.hypot(levels, np.tile(own_levels, 2))).float()
    scales = torch.full((2 * CROPS,), scale)
    return Patches(lr.byte(), blur.repeat(2, 1), levels, scales, torch.zeros(2 * CROPS, 3))


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Pixels (h, w, 3) as (3, h, w)."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))


def _draw_levels(rng: np.random.Generator) -> NDArray:
    """Random noise levels, (2 · CROPS,): none or little in the first half, more in the other."""
    kind = rng.random(CROPS)
    little = np.where(kind < 0.6, 0, rng.uniform(0, 5, CROPS))
    more = np.where(kind < 0.5, rng.uniform(0, 20, CROPS), rng.uniform(0, MAX_NOISE_LEVEL, CROPS))
    return np.concatenate([little, more])


def draw_gaussians(rng: np.random.Generator, count: int, scale: int) -> tuple[NDArray, NDArray, NDArray]:
    """Random widths, the larger one first, and angles of Gaussian kernels, (count,) each."""
    largest = MAX_WIDTHS[scale]
    isotropic = rng.uniform(MIN_WIDTH, largest, count)
    variances = rng.uniform(MIN_VARIANCE, largest**2, (2, count))
    widths = np.where(rng.random(count) < ISOTROPIC_SHARE, isotropic, np.sqrt(variances))
    widths[:, rng.random(count) < NO_BLUR_SHARE] = NO_BLUR_WIDTH
    return widths.max(0), widths.min(0), rng.uniform(0, 180, count)


def _draw_hr(pictures: PackedPictures, rng: np.random.Generator, side: int) -> Tensor:
    """CROPS random crops, (CROPS, 3, side, side), 0 to 1, some of them special, grey or with less contrast."""
    crops = _sample(pictures, rng, side).reshape(CROPS, CANDIDATES, side, side, 3)
    detail = np.abs(np.diff(crops[..., ::2, ::2, 1].astype(np.int16))).mean((2, 3))
    crops = crops[np.arange(CROPS), detail.argmax(1)]
    for index in np.nonzero(rng.random(CROPS) < SPECIAL_SHARE)[0]:
        crops[index] = make_special(rng, crops[index])
    hr = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    gain = np.where(rng.random(CROPS) < LOW_CONTRAST_SHARE, rng.uniform(0.4, 1, CROPS), 1)
    offset = rng.random(CROPS) * (1 - gain)
    hr = hr * torch.from_numpy(gain).float().view(-1, 1, 1, 1) + torch.from_numpy(offset).float().view(-1, 1, 1, 1)
    grey = torch.from_numpy(rng.random(CROPS) < GREY_SHARE).view(-1, 1, 1, 1)
    return torch.where(grey, hr.mean(1, keepdim=True), hr)


def _sample(pictures: PackedPictures, rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Random crops, (CANDIDATES · CROPS, side, side, 3), in some draws resized to be sharper or softer."""
    factor = math.exp(rng.uniform(math.log(MIN_FACTOR), math.log(MAX_FACTOR)))
    size = round(side / factor)
    if rng.random() >= RESIZED_SHARE or not pictures.count_large_enough(size):
        return pictures.sample(rng, CANDIDATES * CROPS, side)
    crops = pictures.sample(rng, CANDIDATES * CROPS, size)
    return np.stack([np.asarray(Image.fromarray(crop).resize((side, side), RESAMPLING)) for crop in crops])


def add_noise(lr: Tensor, levels: Tensor, rng: np.random.Generator) -> Tensor:
    """LR (N, 3, h, w), 0 to 255, with noise of these levels, (N,), clipped and rounded; grey pictures stay grey."""
    noise = torch.from_numpy(rng.standard_normal(tuple(lr.shape), np.float32))
    is_grey = (lr.amax(1) - lr.amin(1) < 1e-3).flatten(1).all(1).view(-1, 1, 1, 1)
    noise = torch.where(is_grey, noise[:, :1], noise)
    return (lr + levels.view(-1, 1, 1, 1) * noise).round().clamp(0, 255)


class PatchPool:
    """The last POOL patches that were drawn. Drawing a patch costs more than a step, so that each is used often."""

    def __init__(self, pictures: PackedPictures, scale: int | None, jpeg_share: float = 0, seed: int = 0):
        """Patches for one scale, or for all if `scale` is None; a share of them is compressed when it is used."""
        self._jpeg_share = jpeg_share
        self._pictures, self._rng = pictures, np.random.default_rng(seed)
        self._shares = SCALE_SHARES if scale is None else np.eye(SCALES)[scale - 1]
        self._patches: list[Patches] = []  # of one draw each
        self._next = 0  # the index that the next draw gets in the full pool

    def __len__(self) -> int:
        return 2 * CROPS * len(self._patches)

    def grow(self) -> None:
        """Draws further patches; when the pool is full, they replace the oldest."""
        scale = 1 + int(self._rng.choice(SCALES, p=self._shares))
        patches = draw_patches(self._pictures, self._rng, scale)
        if len(self) < POOL:
            self._patches.append(patches)
        else:
            self._patches[self._next] = patches
            self._next = (self._next + 1) % len(self._patches)

    def batch(self, count: int) -> Patches:
        """Random parts of random patches with permuted colours, some with further noise, some compressed; turned."""
        is_jpeg = self._rng.random(count) < self._jpeg_share
        stay_clean = is_jpeg & (self._rng.random(count) < CLEAN_JPEG_SHARE)
        chosen = [self._random_patch(only_clean) for only_clean in stay_clean]
        patches = Patches(*(torch.cat(values) for values in zip(*chosen, strict=True)))
        side = WINDOW * int(self._rng.integers(MIN_SIDE // WINDOW, SIDE // WINDOW + 1))
        top, left = self._rng.integers(SIDE - side + 1, size=2)
        lr = patches.lr[..., top : top + side, left : left + side][:, self._rng.permutation(3)].float()
        gets_noise = (patches.noise_levels == 0).numpy() & ~stay_clean & (self._rng.random(count) < EXTRA_NOISE_SHARE)
        levels = np.where(self._rng.random(count) < 0.5, MAX_NOISE_LEVEL, 10) * self._rng.random(count)
        extra = torch.from_numpy(np.where(gets_noise, levels, 0)).float()
        lr, jpeg = compress_patches(add_noise(lr, extra, self._rng), is_jpeg, self._rng)
        view = int(self._rng.integers(VIEWS))
        blur = patches.blur @ torch.from_numpy(turning_matrix(view)).float().T
        return Patches(turn(lr, view), blur, patches.noise_levels + extra, patches.scales, jpeg)

    def _random_patch(self, only_clean: bool) -> Patches:
        """One of the patches; without noise, if it shall be clean and its draw has such a patch."""
        patches = self._patches[self._rng.integers(len(self._patches))]
        clean = torch.nonzero(patches.noise_levels == 0)[:, 0]
        indices = clean if only_clean and len(clean) else torch.arange(2 * CROPS)
        return patches.select(indices[self._rng.integers(len(indices))][None])
