"""HR to LR: blur, downsampling, noise; and what the network is told of it, the degradation map.

LR = (HR ⊗ k) ↓s + n (paper, equation 1). A degradation may vary over the picture: it is then a mix of M uniform ones
with weights on the LR grid. A uniform one is a mix of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srmd.base.errors import InputError
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.pca import kernel_codes
from srmd.kernel.specs import as_kernel
from srmd.pictures.conversion import to_pixels
from srmd.pictures.dihedral import turn
from srmd.pictures.picture import as_floats

MAX_SHIFTS = 15  # side of a kernel whose taps are added one by one: of 101×101 that takes minutes a photo


@dataclass(frozen=True)
class Degradation:
    """What is done to N pictures, or said to have been done; a mix of M parts each."""

    kernels: Tensor  # (N, M, k, k), sum 1, correlation orientation
    noise_levels: Tensor  # (N, M), or (N, M, h, w) where a part's own varies; 0 to 255
    weights: Tensor | None = None  # (N, M, h, w) on the LR grid, sum 1 over M; None where M = 1

    @classmethod
    def uniform(cls, kernels: Tensor, noise_levels: Tensor) -> "Degradation":
        """One kernel (N, k, k) and one noise level (N,) for the whole of each picture."""
        return cls(kernels[:, None], noise_levels[:, None])

    def part(self, rows: slice, columns: slice) -> "Degradation":
        """That of a part of the pictures, on the LR grid."""
        return self._where_it_varies(lambda values: values[..., rows, columns], self.kernels)

    def turned(self, view: int) -> "Degradation":
        """That of the pictures as `turn` turns them."""
        return self._where_it_varies(lambda values: turn(values, view), turn(self.kernels, view))

    def _where_it_varies(self, change: Callable[[Tensor], Tensor], kernels: Tensor) -> "Degradation":
        levels = change(self.noise_levels) if self.noise_levels.ndim == 4 else self.noise_levels
        return Degradation(kernels, levels, None if self.weights is None else change(self.weights))

    def mix(self, parts: Tensor) -> Tensor:
        """Σ wᵢ · partᵢ: (N, M, C) or (N, M, C, h, w) to (N, C, h, w), or (N, C, 1, 1) where nothing varies."""
        if parts.ndim == 3:
            parts = parts[..., None, None]
        if self.weights is None:
            return parts[:, 0]
        weighted = zip(self.weights[:, :, None].to(parts).unbind(1), parts.unbind(1), strict=True)
        return sum(weights * part for weights, part in weighted)  # one by one: M codes a pixel would take much memory

    def noise_level(self) -> Tensor:
        """Σ wᵢσᵢ, (N, 1, h, w), or (N, 1, 1, 1) where nothing varies."""
        return self.mix(self.noise_levels[:, :, None])


def blur(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Correlates each picture (N, C, H, W) with its kernel (N, k, k), with replicated borders."""
    kernels = kernels.to(pictures)
    padded = F.pad(pictures, [kernels.shape[-1] // 2] * 4, mode="replicate")
    if pictures.dtype == torch.float64 and not pictures.is_cuda and kernels.shape[-1] <= MAX_SHIFTS:
        return _sum_of_shifts(padded, kernels)
    return _product_of_spectra(padded, kernels)


def _sum_of_shifts(padded: Tensor, kernels: Tensor) -> Tensor:
    """The correlation, a tap at a time: in float64 PyTorch's own copies the picture once for each tap."""
    size = kernels.shape[-1]
    height, width = padded.shape[-2] - size + 1, padded.shape[-1] - size + 1
    total = padded.new_zeros(*padded.shape[:2], height, width)
    for row, column in kernels.any(0).nonzero().tolist():
        shifted = padded[..., row : row + height, column : column + width]
        total.addcmul_(shifted, kernels[:, row, column, None, None, None])
    return total


def _product_of_spectra(padded: Tensor, kernels: Tensor) -> Tensor:
    """The correlation by the Fourier transform: for float32, on GPUs, and for large kernels.

    On two cores 16 crops of 104×104 with 15×15 kernels take 3 ms, by a grouped convolution 27.
    """
    size = kernels.shape[-1]
    height, width = padded.shape[-2] - size + 1, padded.shape[-1] - size + 1
    fast = [-(-side // 16) * 16 for side in padded.shape[-2:]]  # no large prime in them
    spectra = torch.fft.rfft2(padded, fast) * torch.fft.rfft2(kernels, fast).conj()[:, None]
    return torch.fft.irfft2(spectra, fast)[..., :height, :width]


def imresize(pictures: Tensor, height: int, width: int) -> Tensor:
    """MATLAB's bicubic `imresize` of (N, C, H, W): a = -0.5, antialiased when it shrinks, mirrored borders."""
    rows = resize_matrix(pictures.shape[-2], height, pictures.dtype, pictures.device)
    columns = resize_matrix(pictures.shape[-1], width, pictures.dtype, pictures.device)
    return rows @ pictures @ columns.T


@lru_cache(maxsize=8)
def resize_matrix(size: int, new_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The weights (new_size, size) of each old pixel in each new one."""
    stretch = max(size / new_size, 1)  # the kernel widens when it shrinks: antialiasing
    centre = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    taps = np.floor(centre - 2 * stretch)[:, None] + np.arange(int(4 * stretch) + 2)
    x = np.abs(centre[:, None] - taps) / stretch
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    taps = taps.astype(int) % (2 * size)
    mirrored = np.minimum(taps, 2 * size - 1 - taps)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], mirrored), weights / weights.sum(1, keepdims=True))
    return torch.from_numpy(matrix).to(device, dtype)


def downsample(pictures: Tensor, scale: int, downsampler: str = "bicubic") -> Tensor:
    """(N, C, s·h, s·w) to (N, C, h, w): MATLAB's bicubic, or direct, the middle pixel of each s×s."""
    if downsampler == "direct":
        return pictures[..., scale // 2 :: scale, scale // 2 :: scale]
    return imresize(pictures, pictures.shape[-2] // scale, pictures.shape[-1] // scale)


def upsample(pictures: Tensor, scale: int) -> Tensor:
    """(N, C, h, w) to (N, C, s·h, s·w) by MATLAB's bicubic: what every table compares with."""
    return imresize(pictures, pictures.shape[-2] * scale, pictures.shape[-1] * scale)


def modcrop(pictures: Tensor, scale: int) -> Tensor:
    """Cuts the rows and columns at the end that do not fill a whole LR pixel."""
    height, width = pictures.shape[-2:]
    return pictures[..., : height - height % scale, : width - width % scale]


def degrade(
    hr: Tensor,
    degradation: Degradation,
    scale: int,
    downsampler: str = "bicubic",
    rounded: Tensor | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """HR pictures (N, 3, s·h, s·w) to LR (N, 3, h, w), in the dtype of `hr`; not clipped.

    `rounded` (N,) bool says which samples are rounded to 8 bits before the noise. `noise` is a standard normal draw
    of LR's shape; the degradation's noise levels scale it.
    """
    parts = [downsample(blur(hr, kernels), scale, downsampler) for kernels in degradation.kernels.unbind(1)]
    lr = degradation.mix(torch.stack(parts, 1))
    if rounded is not None:
        lr = torch.where(rounded[:, None, None, None], (lr.clamp(0, 1) * 255).round() / 255, lr)
    if noise is not None:
        lr = lr + degradation.noise_level().to(lr) / 255 * noise
    return lr


def scoring_noise(seed: int, hr: Tensor, scale: int) -> Tensor:
    """A standard normal draw of LR's shape, the same for every picture of that size."""
    height, width = hr.shape[-2] // scale, hr.shape[-1] // scale
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((height, width, 3))
    return torch.from_numpy(noise).permute(2, 0, 1)[None]


def degradation_map(degradation: Degradation, pca: Tensor, conditions: tuple[str, ...]) -> Tensor:
    """What the network is told: (N, C, h, w), or (N, C, 1, 1) where the degradation is uniform (paper, section 3.2).

    Of `kernel` the kernel code, as many numbers as P has rows, of `noise` the noise level / 255, in the order of the
    network's conditions.
    """
    maps = [_CONDITION_MAPS[condition](degradation, pca) for condition in conditions]
    # Each may vary alone. NumPy's function, for PyTorch's imports SymPy, which takes most of a second.
    size = np.broadcast_shapes(*(part.shape[-2:] for part in maps))
    return torch.cat([part.expand(-1, -1, *size) for part in maps], 1)


def _kernel_map(degradation: Degradation, pca: Tensor) -> Tensor:
    return degradation.mix(kernel_codes(degradation.kernels.to(pca), pca))


def _noise_map(degradation: Degradation, pca: Tensor) -> Tensor:
    return degradation.noise_level().to(pca) / 255


_CONDITION_MAPS = {"kernel": _kernel_map, "noise": _noise_map}


def degrade_picture(
    picture: Any,
    kernel: str | Path | ArrayLike = "delta",
    noise_level: float = 0.0,
    scale: int = 2,
    downsampler: str = "bicubic",
    seed: int = 0,
) -> Any:
    """An HR picture blurred, downsampled and made noisy, as a picture of the same kind.

    Whole numbers are clipped and rounded to their levels, floats are left as they are. Rows and columns that fill no LR
    pixel are cut off. For kinds of pictures, kernels and noise level see `Restorer.restore`; `downsampler` is bicubic
    or direct, `seed` that of the noise. Raises InputError, which names the argument.
    """
    pixels = to_pixels(picture)
    if downsampler not in ("bicubic", "direct"):
        raise InputError(f"expected bicubic or direct, found {downsampler!r}", "downsampler")
    check_noise_level(noise_level)
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"expected a whole number of at least 0, found {seed!r}", "seed")
    if not isinstance(scale, int) or scale < 1:
        raise InputError(f"expected a whole number of at least 1, found {scale!r}", "scale")
    hr = torch.from_numpy(as_floats(pixels.rgb).astype(np.float64)).permute(2, 0, 1)[None]
    if min(hr.shape[-2:]) < scale:
        raise InputError(f"expected sides of at least {scale} pixels, found {hr.shape[-1]}×{hr.shape[-2]}", "picture")
    hr, noise = modcrop(hr, scale), None
    if noise_level:
        noise = scoring_noise(seed, hr, scale)
        noise = noise[:, :1].expand_as(noise) if pixels.grey else noise  # whose channels stay equal
    array = torch.from_numpy(as_kernel(kernel))
    degradation = Degradation.uniform(array[None], torch.tensor([float(noise_level)]))
    lr = degrade(hr, degradation, scale, downsampler, noise=noise)[0].permute(1, 2, 0).numpy()
    alpha = None
    if pixels.alpha is not None:
        alpha = downsample(modcrop(torch.from_numpy(pixels.alpha)[None, None], scale), scale, downsampler)[0, 0].numpy()
    return pixels.to_kind(pixels.values(lr), alpha)


def check_noise_level(noise_level: float) -> None:
    """Raises InputError for what is no noise level."""
    if not isinstance(noise_level, Real) or not 0 <= noise_level <= 255:
        raise InputError(f"expected a number from 0 to 255, found {noise_level!r}", "noise_level")


def enlarged_alpha(alpha: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """Transparency (H, W) in 0 to 1, `scale` times as large."""
    return upsample(torch.from_numpy(alpha)[None, None], scale)[0, 0].clamp(0, 1).numpy()


def border(scale: int, kernel_size: int = KERNEL_SIZE) -> int:
    """LR pixels at a picture's edge that blur and bicubic downsampling let depend on what lies outside."""
    return -(-(kernel_size // 2 + 2 * scale) // scale)
