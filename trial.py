"""A picture of a test: degraded, restored, scored, written."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from config import NamedKernel, NamedMap, TestConfig
from dashboard import Dashboard
from degradation import Degradation, degradation_map, degrade, modcrop, upsample
from engine import Engine
from equivalent import equivalent_kernel
from errors import InputError, asked_by
from images import Picture, to_levels, write_picture
from kernel import KERNEL_SIZE, fit_kernel, parse_kernels, read_pca, stack_kernels
from metrics import score
from model import NetworkConfig
from overlap import Behind
from regions import lr_map, region_weights
from report import comparison, to_rgb8
from restore import VIEWS, restored_tiles
from weights import Weights, read_weights

OWN_PCA = Path(__file__).parent / "kernels" / "pca.mat"
Advance = Callable[[int], object]  # is told how many pixels of what was given are done


class Trial:
    """What is done to each picture of a test, with a network that is told a degradation."""

    def __init__(self, config: TestConfig, engine: Engine, network_config: NetworkConfig, pca: Tensor):
        self.config, self.engine, self.network_config, self.pca = config, engine, network_config, pca
        self.kernels = torch.from_numpy(stack_kernels([kernel.array for kernel in config.applied.kernels]))
        with asked_by("--assumed_kernel" if config.assumed_kernel else "--kernel"):
            fitted = [fit_kernel(kernel.array, network_config.kernel_size) for kernel in config.assumed.kernels]
        self.assumed_kernels = torch.from_numpy(np.stack(fitted))

    def _told(self, assumed: Degradation) -> Tensor:
        return degradation_map(assumed, self.pca, self.network_config.noise_free)

    def _tiles(self, name: str, lr: np.ndarray, hr_size: tuple[int, int]) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Rows and columns of SR, and what belongs there, (·, ·, 3)."""
        assumed = self._degradation(self.assumed_kernels, self.config.assumed.noise, name, hr_size)
        views = VIEWS if self.config.self_ensemble else 1
        for rows, columns, sr in restored_tiles(self.engine, lr, assumed, self._told, self.config.tile, views):
            yield rows, columns, to_array(sr)

    def _degradation(
        self, kernels: Tensor, noise: float | NamedMap, name: str, hr_size: tuple[int, int]
    ) -> Degradation:
        """Kernels (M, k, k) and noise, each where the maps say, for a picture whose HR is (H, W)."""
        config, scale, count = self.config, self.engine.scale, len(kernels)
        weights = None
        if count > 1:
            with asked_by(f"--regions: {config.regions.path} for {name}"):
                shares = region_weights(config.regions.values, count, hr_size, scale, config.region_blend)
            weights = torch.from_numpy(shares)[None]
        if isinstance(noise, NamedMap):
            with asked_by(f"--noise_map: {noise.path} for {name}"):
                levels = torch.from_numpy(lr_map(noise.values, hr_size, scale)).expand(1, count, -1, -1)
        else:
            levels = torch.full((1, count), noise, dtype=torch.float64)
        return Degradation(kernels[None], levels, weights)

    def restore(self, name: str, picture: Picture, advance: Advance, behind: Behind) -> dict:
        """An LR picture to a file; the seconds that it took without reading and writing."""
        start, levels = time.perf_counter(), picture.blank(self.engine.scale)
        for rows, columns, sr in self._tiles(name, picture.pixels, levels.shape[:2]):
            levels[rows, columns] = to_levels(sr, levels.dtype, picture.grey)
            advance(sr.shape[0] * sr.shape[1] // self.engine.scale**2)
        seconds = time.perf_counter() - start
        behind.do(write_picture, self.config.output / f"{name}.png", levels, picture)
        return {"seconds": seconds}

    def score(self, name: str, picture: Picture, dashboard: Dashboard, advance: Advance, behind: Behind) -> dict:
        """An HR picture degraded and restored; scores of SR and of bicubic upscaling."""
        config, scale = self.config, self.engine.scale
        hr = modcrop(torch.from_numpy(picture.to_float()).permute(2, 0, 1)[None], scale)
        size = picture.pixels.shape[:2]
        applied = self._degradation(self.kernels, config.applied.noise, name, size)
        lr = degrade(hr, applied, scale, config.downsampler, noise=scoring_noise(config.seed, hr, scale))
        start, sr = time.perf_counter(), torch.empty_like(hr, dtype=torch.float32)
        for rows, columns, part in self._tiles(name, to_array(lr), size):
            to_array(sr)[rows, columns] = part
            advance(part.shape[0] * part.shape[1])
        seconds = time.perf_counter() - start
        bicubic = upsample(lr, scale)
        scores, bicubic_scores = (score(to_array(restored), to_array(hr), scale) for restored in (sr, bicubic))
        enlarged = F.interpolate(lr, scale_factor=scale, mode="nearest")
        panels = {"LR": enlarged, f"bicubic {bicubic_scores['psnr_y']:.2f} dB": bicubic}
        panels |= {f"SRMD {scores['psnr_y']:.2f} dB": sr, "HR": hr}
        sheet = comparison({label: to_rgb8(panel[0]) for label, panel in panels.items()})
        dashboard.image(f"picture {name}", sheet, f"{name}: {' | '.join(panels)}")
        behind.do(self._write, name, picture, to_array(sr), to_array(lr), sheet)
        bicubic_scores = {f"bicubic_{key}": bicubic_scores[key] for key in ("psnr_y", "ssim_y")}
        return scores | bicubic_scores | {"seconds": seconds}

    def _write(self, name: str, picture: Picture, sr: np.ndarray, lr: np.ndarray, sheet: np.ndarray) -> None:
        output, file = self.config.output, f"{name}.png"
        write_picture(output / file, sr, like=picture)
        write_picture(output / "compare" / file, sheet)
        if self.config.save_lr:
            write_picture(output / "lr" / file, lr, like=picture)


def settled(config: TestConfig, weights: Weights) -> TestConfig:
    """The configuration with what only the weights can say.

    That is the window of Gaussians, the downsampler, and what a network for another downsampler is told.
    """
    scale, size = weights.network.config.scale, weights.network.config.kernel_size
    kernels = [_in_window(kernel, size) for kernel in config.kernel]
    assumed = config.assumed_kernel and _in_window(config.assumed_kernel, size)
    downsampler = config.downsampler or weights.downsampler
    config = replace(config, kernel=kernels, assumed_kernel=assumed, downsampler=downsampler)
    if config.self_ensemble and weights.downsampler == "direct" and scale % 2 == 0:
        raise InputError(
            f"--self_ensemble: expected a network that turns with a picture, found {config.weights}: the direct "
            f"downsampler, which it was trained for, takes no middle pixel at x{scale}"
        )
    translated = (config.downsampler, weights.downsampler) == ("direct", "bicubic") and scale > 1
    if translated and not config.assumed_kernel:  # which is what the network is told, as it is
        with asked_by("--kernel"):
            equivalents = [
                NamedKernel(f"equivalent to {kernel.spec}", equivalent_kernel(kernel.array, scale, size), shifts=True)
                for kernel in config.kernel
            ]
        config = replace(config, equivalents=equivalents)
    return config


def _in_window(kernel: NamedKernel, size: int) -> NamedKernel:
    """A Gaussian as it is in a network's window, where that is larger than the usual one and cuts less."""
    if size > KERNEL_SIZE and kernel.spec.startswith("gaussian:"):
        return replace(kernel, array=parse_kernels(kernel.spec, size)[0])
    return kernel


def weights_to_test(config: TestConfig) -> Weights:
    """A network to test, with the P that belongs to it."""
    with asked_by("--weights"):
        weights = read_weights(config.weights)
    scale, pca = weights.network.config.scale, weights.pca
    if config.scale_factor not in (None, scale):
        raise InputError(f"--scale_factor: {config.weights} is for x{scale}, found {config.scale_factor}")
    if weights.network.config.noise_free and config.input and config.applied.noisy:
        flag, found = "--noise_level", f"{config.noise_level:g}"
        if config.noise_map:
            flag, found = "--noise_map", config.noise_map.path
        raise InputError(f"{flag}: {config.weights} is noise-free (SRMDNF), found {found}")
    if (pca is None) != (config.pca is not None):
        needed = "needed: the weights carry no P" if pca is None else "not needed: the weights carry their own P"
        raise InputError(f"--pca: {needed} ({config.weights})")
    if pca is None:
        with asked_by("--pca"):
            pca = _foreign_pca(config.pca, config.weights)
    return replace(weights, pca=pca)


def _foreign_pca(path: Path, weights: Path) -> Tensor:
    """P for a foreign network; this project's own would give codes that it has never seen, and cost it 3 to 6 dB."""
    pca = read_pca(path)
    if np.allclose(pca, read_pca(OWN_PCA), atol=1e-5):
        raise InputError(f"{path}: expected the P that {weights} was trained with, found this project's own")
    return torch.from_numpy(pca)


def scoring_noise(seed: int, hr: Tensor, scale: int) -> Tensor:
    """A standard normal draw of LR's shape, the same for every picture of that size."""
    height, width = hr.shape[-2] // scale, hr.shape[-1] // scale
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((height, width, 3))
    return torch.from_numpy(noise).permute(2, 0, 1)[None]


def to_array(picture: Tensor) -> np.ndarray:
    """(1, C, H, W) as (H, W, C), which shares its memory."""
    return picture[0].permute(1, 2, 0).numpy()
