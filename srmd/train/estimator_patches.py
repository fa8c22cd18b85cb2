"""The patches that estimators are trained on: LR patches with random blur and noise, and a pool that reuses them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.degradation import Degradation, border, degrade
from srmd.estimator import SCALES, WINDOW, blur_parameters, turning_matrix
from srmd.kernel.families import gaussian
from srmd.packs.reader import PackedPictures
from srmd.pictures.dihedral import VIEWS, turn
from srmd.train.special_patches import make_special

KERNEL_SIZE = 21  # HR pixels; pictures are not blurred by kernels cut to the networks' 15×15
MAX_WIDTHS = {1: 2.6, 2: 2.6, 3: 3.2, 4: 4.0}  # HR pixels, by scale
MIN_WIDTH, MIN_VARIANCE, NO_BLUR_WIDTH = 0.1, 0.2, 0.05  # HR pixels: of isotropic, anisotropic and delta kernels
ISOTROPIC_SHARE, NO_BLUR_SHARE = 0.5, 0.1
SCALE_SHARES = (0.15, 0.35, 0.2, 0.3)  # of patches for x1, x2, x3 and x4
SIDE, MIN_SIDE = 96, 64  # LR pixels of the patches, and of the smallest part of them that is used
CROPS = 16  # that are degraded at once
CANDIDATES = 2  # random crops, of which the more detailed one is used
SPECIAL_SHARE, GREY_SHARE, LOW_CONTRAST_SHARE = 0.2, 0.1, 0.5
MAX_NOISE_LEVEL = 75
EXTRA_NOISE_SHARE = 0.4  # of patches without noise, to which noise is added when they are used
POOL = 40_000  # patches kept in memory, 1.1 GB


class Patches(NamedTuple):
    """N LR patches and their degradation."""

    lr: Tensor  # (N, 3, h, h) uint8
    blur: Tensor  # (N, 3), see `blur_parameters`
    noise_levels: Tensor  # (N,), 0 to 255
    scales: Tensor  # (N,)

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
    kind = rng.random(CROPS)
    little = np.where(kind < 0.6, 0, rng.uniform(0, 5, CROPS))
    more = np.where(kind < 0.5, rng.uniform(0, 20, CROPS), rng.uniform(0, MAX_NOISE_LEVEL, CROPS))
    levels = torch.from_numpy(np.concatenate([little, more])).float()
    lr = add_noise(clean.repeat(2, 1, 1, 1) * 255, levels, rng)
    blur = torch.from_numpy(blur_parameters(width1, width2, angle, scale)).float()
    return Patches(lr.byte(), blur.repeat(2, 1), levels, torch.full((2 * CROPS,), scale))


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
    crops = pictures.sample(rng, CANDIDATES * CROPS, side).reshape(CROPS, CANDIDATES, side, side, 3)
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


def add_noise(lr: Tensor, levels: Tensor, rng: np.random.Generator) -> Tensor:
    """LR (N, 3, h, w), 0 to 255, with noise of these levels, (N,), clipped and rounded; grey pictures stay grey."""
    noise = torch.from_numpy(rng.standard_normal(tuple(lr.shape), np.float32))
    is_grey = (lr.amax(1) - lr.amin(1) < 1e-3).flatten(1).all(1).view(-1, 1, 1, 1)
    noise = torch.where(is_grey, noise[:, :1], noise)
    return (lr + levels.view(-1, 1, 1, 1) * noise).round().clamp(0, 255)


class PatchPool:
    """The last POOL patches that were drawn. Drawing a patch costs more than a step, so that each is used often."""

    def __init__(self, pictures: PackedPictures, scale: int | None, seed: int = 0):
        """Patches for one scale, or for all if `scale` is None."""
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
        """Random parts of random patches, turned, with permuted colours, and some of them with further noise."""
        draws = self._rng.integers(len(self._patches), size=count)
        chosen = [self._patches[draw].select(torch.tensor([int(self._rng.integers(2 * CROPS))])) for draw in draws]
        patches = Patches(*(torch.cat(values) for values in zip(*chosen, strict=True)))
        side = WINDOW * int(self._rng.integers(MIN_SIDE // WINDOW, SIDE // WINDOW + 1))
        top, left = self._rng.integers(SIDE - side + 1, size=2)
        lr = patches.lr[..., top : top + side, left : left + side][:, self._rng.permutation(3)].float()
        is_clean = (patches.noise_levels == 0).numpy() & (self._rng.random(count) < EXTRA_NOISE_SHARE)
        levels = np.where(self._rng.random(count) < 0.5, MAX_NOISE_LEVEL, 10) * self._rng.random(count)
        extra = torch.from_numpy(np.where(is_clean, levels, 0)).float()
        lr = add_noise(lr, extra, self._rng)
        view = int(self._rng.integers(VIEWS))
        blur = patches.blur @ torch.from_numpy(turning_matrix(view)).float().T
        return Patches(turn(lr, view), blur, patches.noise_levels + extra, patches.scales)
