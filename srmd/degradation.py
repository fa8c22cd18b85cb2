"""The degradation of HR to LR pictures (blur, downsampling, noise, JPEG), and the degradation map of the network.

LR = (HR ⊗ k) ↓s + n (paper, equation 1). A spatially variant degradation is a mix of M uniform degradations with
weights on the LR grid; a uniform degradation has M = 1.
"""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.base.errors import InputError
from srmd.base.numbers import to_integer, to_real
from srmd.jpeg.codec import Compression, compress
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables, checked_jpeg
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.pca import kernel_codes
from srmd.kernel.specs import to_kernel
from srmd.pictures.conversion import Pixels, to_pixels
from srmd.pictures.dihedral import turn
from srmd.pictures.picture import as_floats, has_equal_channels, quantise
from srmd.pictures.transparency import spread_visible_colours

MAX_NOISE_LEVEL = 75  # of training; standard deviation, on the scale 0 to 255
MAX_TAP_BY_TAP_SIZE = 15  # maximum side of a kernel that is applied tap by tap; 101×101 would take minutes per photo


@dataclass(frozen=True)
class Degradation:
    """The degradations of N pictures: each is a mix of M parts, with one kernel and one noise level for each part."""

    kernels: Tensor  # (N, M, k, k), sum 1, correlation orientation
    noise_levels: Tensor  # (N, M), or (N, M, h, w) if they vary within a part; 0 to 255
    weights: Tensor | None = None  # (N, M, h, w) on the LR grid, sum 1 over M; None if M = 1
    jpeg: Tensor | None = None  # (N, 3), a `JpegCondition` for each picture; None: not compressed

    def blur_only(self) -> "Degradation":
        """This degradation with a noise level of 0 everywhere and without JPEG."""
        return replace(self, noise_levels=torch.zeros_like(self.noise_levels), jpeg=None)

    def with_jpeg(self, tables: JpegTables) -> "Degradation":
        """This degradation followed by a compression with these tables."""
        return replace(self, jpeg=torch.tensor([tables.condition] * len(self.kernels)))

    def in_window(self, size: int) -> "Degradation":
        """This degradation with its kernels in a window of size×size.

        They are padded with zeros, or cropped and divided by their sum. `fit_kernel` does this for arrays from outside,
        which it checks and also divides by their sum where nothing is cropped.
        """
        pad = (size - self.kernels.shape[-1]) // 2
        kernels = F.pad(self.kernels, [pad] * 4)
        return replace(self, kernels=kernels / kernels.sum((-2, -1), keepdim=True) if pad < 0 else kernels)

    @classmethod
    def uniform(cls, kernels: Tensor, noise_levels: Tensor, jpeg: Tensor | None = None) -> "Degradation":
        """A degradation with one kernel and one noise level for each picture: (N, k, k), (N,) and (N, 3)."""
        return cls(kernels[:, None], noise_levels[:, None], jpeg=jpeg)

    def crop(self, rows: slice, columns: slice) -> "Degradation":
        """The degradation of a crop of the pictures; `rows` and `columns` are on the LR grid."""
        return self._with_spatial_change(lambda values: values[..., rows, columns], self.kernels)

    def turned(self, view: int) -> "Degradation":
        """The degradation of the pictures turned by `turn(pictures, view)`; the kernels are turned with them."""
        return self._with_spatial_change(lambda values: turn(values, view), turn(self.kernels, view))

    def _with_spatial_change(self, change: Callable[[Tensor], Tensor], kernels: Tensor) -> "Degradation":
        """This degradation with these kernels; `change` is applied to the noise levels and weights on the LR grid."""
        noise_levels = change(self.noise_levels) if self.noise_levels.ndim == 4 else self.noise_levels
        weights = None if self.weights is None else change(self.weights)
        return replace(self, kernels=kernels, noise_levels=noise_levels, weights=weights)

    def mix(self, parts: Tensor) -> Tensor:
        """The sum Σ wᵢ · partᵢ of M parts, (N, M, C) or (N, M, C, h, w): (N, C, h, w), or (N, C, 1, 1) if uniform."""
        if parts.ndim == 3:
            parts = parts[..., None, None]
        if self.weights is None:
            return parts[:, 0]
        weighted = zip(self.weights[:, :, None].to(parts).unbind(1), parts.unbind(1), strict=True)
        # Part by part: one product of all parts would hold M·C numbers for each pixel.
        return sum(weights * part for weights, part in weighted)

    def noise_level(self) -> Tensor:
        """The noise level of each LR pixel, Σ wᵢσᵢ: (N, 1, h, w), or (N, 1, 1, 1) if uniform; 0 to 255."""
        return self.mix(self.noise_levels[:, :, None])


def blur(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Pictures (N, C, H, W), each correlated with its kernel (N, k, k), with replicated borders."""
    kernels = kernels.to(pictures)
    padded = F.pad(pictures, [kernels.shape[-1] // 2] * 4, mode="replicate")
    if pictures.dtype == torch.float64 and not pictures.is_cuda and kernels.shape[-1] <= MAX_TAP_BY_TAP_SIZE:
        return _correlate_tap_by_tap(padded, kernels)
    return _correlate_by_fft(padded, kernels)


def _correlate_tap_by_tap(padded: Tensor, kernels: Tensor) -> Tensor:
    """The correlation as a sum over taps; PyTorch's float64 convolution would copy the picture once per tap."""
    size = kernels.shape[-1]
    height, width = padded.shape[-2] - size + 1, padded.shape[-1] - size + 1
    total = padded.new_zeros(*padded.shape[:2], height, width)
    for row, column in kernels.any(0).nonzero().tolist():
        shifted = padded[..., row : row + height, column : column + width]
        total.addcmul_(shifted, kernels[:, row, column, None, None, None])
    return total


def _correlate_by_fft(padded: Tensor, kernels: Tensor) -> Tensor:
    """The correlation by Fourier transforms, for float32, GPUs and large kernels.

    On two cores 16 crops of 104×104 with 15×15 kernels take 3 ms; a grouped convolution takes 27 ms.
    """
    size = kernels.shape[-1]
    height, width = padded.shape[-2] - size + 1, padded.shape[-1] - size + 1
    fft_size = [16 * ceil_div(side, 16) for side in padded.shape[-2:]]  # FFTs of large prime sizes are slow
    spectra = torch.fft.rfft2(padded, fft_size) * torch.fft.rfft2(kernels, fft_size).conj()[:, None]
    return torch.fft.irfft2(spectra, fft_size)[..., :height, :width]


def imresize(pictures: Tensor, height: int, width: int) -> Tensor:
    """MATLAB's bicubic `imresize` of pictures (N, C, H, W) to (N, C, height, width).

    Keys' kernel with a = -0.5, antialiasing when the picture shrinks, mirrored borders.
    """
    rows = resize_matrix(pictures.shape[-2], height, pictures.dtype, pictures.device)
    columns = resize_matrix(pictures.shape[-1], width, pictures.dtype, pictures.device)
    return rows @ pictures @ columns.T


@lru_cache(maxsize=8)
def resize_matrix(size: int, new_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (new_size, size) of `imresize` along one axis: the weight of each old pixel in each new pixel."""
    taps, weights = resize_taps(size, new_size)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], taps), weights)
    return torch.from_numpy(matrix).to(device, dtype)


def resize_taps(size: int, new_size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each new pixel of `imresize` the old pixels that it is a mean of, and their weights: (new_size, taps) each.

    Near a border an old pixel can appear twice.
    """
    stretch = max(size / new_size, 1)  # antialiasing: when the picture shrinks, the kernel is wider
    centre = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    taps = np.floor(centre - 2 * stretch)[:, None] + np.arange(int(4 * stretch) + 2)
    x = np.abs(centre[:, None] - taps) / stretch  # distances, in units of the stretched kernel
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2  # Keys' kernel, a = -0.5
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    taps = taps.astype(int) % (2 * size)
    mirrored = np.minimum(taps, 2 * size - 1 - taps)
    return mirrored, weights / weights.sum(1, keepdims=True)


def downsample(pictures: Tensor, scale: int, downsampler: str = "bicubic") -> Tensor:
    """Pictures (N, C, s·h, s·w) downsampled to (N, C, h, w).

    `downsampler` is "bicubic" (MATLAB's `imresize`) or "direct" (pixel (s // 2, s // 2) of each s×s block).
    """
    if downsampler == "direct":
        middle = scale // 2
        return pictures[..., middle::scale, middle::scale]
    return imresize(pictures, pictures.shape[-2] // scale, pictures.shape[-1] // scale)


def upsample(pictures: Tensor, scale: int) -> Tensor:
    """Pictures (N, C, h, w) upsampled to (N, C, s·h, s·w) by MATLAB's bicubic, the baseline of published tables."""
    return imresize(pictures, pictures.shape[-2] * scale, pictures.shape[-1] * scale)


def modcrop(pictures: Tensor, scale: int) -> Tensor:
    """Pictures (N, C, H, W) cropped at the bottom and at the right to multiples of the scale."""
    height, width = pictures.shape[-2:]
    return pictures[..., : height - height % scale, : width - width % scale]


def degrade(
    hr: Tensor,
    degradation: Degradation,
    scale: int,
    downsampler: str = "bicubic",
    rounded: Tensor | None = None,
    noise: Tensor | None = None,
    compression: Compression | None = None,
) -> Tensor:
    """HR pictures (N, 3, s·h, s·w) degraded to LR (N, 3, h, w), in the dtype of `hr`, not clipped.

    Args:
        rounded: (N,) bool, which LR pictures are clipped and rounded to 8 bits before noise is added; None: none.
        noise: standard normal noise of LR's shape, which the noise levels of the degradation scale; None: no noise.
        compression: which LR pictures are, after that, clipped, rounded to 8 bits, compressed to JPEG and decoded, and
            by which tables; None: none.
    """
    parts = [downsample(blur(hr, kernels), scale, downsampler) for kernels in degradation.kernels.unbind(1)]
    lr = degradation.mix(torch.stack(parts, 1))
    if rounded is not None:
        lr = torch.where(rounded[:, None, None, None], (lr.clamp(0, 1) * 255).round() / 255, lr)
    if noise is not None:
        lr = lr + degradation.noise_level().to(lr) / 255 * noise
    return lr if compression is None else compress(lr, compression)


def seeded_noise(seed: int, hr: Tensor, scale: int) -> Tensor:
    """Standard normal noise of LR's shape, (1, 3, h, w) float64; it depends on the seed and the shape only."""
    height, width = hr.shape[-2] // scale, hr.shape[-1] // scale
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((height, width, 3))
    return torch.from_numpy(noise).permute(2, 0, 1)[None]


def degradation_map(degradation: Degradation, pca: Tensor, conditions: tuple[str, ...]) -> Tensor:
    """The degradation map (paper, section 3.2), (N, C, h, w), or (N, C, 1, 1) if the degradation is uniform.

    Its channels, in the order of the network's conditions: for `kernel` the kernel code, one channel per row of P; for
    `noise` the noise level divided by 255; for `jpeg` the three numbers of `JpegCondition`.
    """
    maps = [_CONDITION_MAPS[condition](degradation, pca) for condition in conditions]
    # One map may vary over the picture while another is uniform. torch.broadcast_shapes would import SymPy, which takes
    # most of a second.
    size = np.broadcast_shapes(*(each.shape[-2:] for each in maps))
    return torch.cat([each.expand(-1, -1, *size) for each in maps], 1)


def _kernel_map(degradation: Degradation, pca: Tensor) -> Tensor:
    return degradation.mix(kernel_codes(degradation.kernels.to(pca), pca))


def _noise_map(degradation: Degradation, pca: Tensor) -> Tensor:
    return degradation.noise_level().to(pca) / 255


def _jpeg_map(degradation: Degradation, pca: Tensor) -> Tensor:
    count = len(degradation.kernels)
    jpeg = torch.zeros(count, 3) if degradation.jpeg is None else degradation.jpeg
    return jpeg.to(pca)[..., None, None]


_CONDITION_MAPS = {"kernel": _kernel_map, "noise": _noise_map, "jpeg": _jpeg_map}


def degrade_picture(
    picture: Any,
    kernel: str | Path | ArrayLike = "delta",
    noise_level: float = 0.0,
    scale: int = 2,
    downsampler: str = "bicubic",
    seed: int = 0,
    jpeg: int | JpegTables | None = None,
) -> Any:
    """Degrades an HR picture to an LR picture of the same kind: blur, downsampling, noise and, if given, JPEG.

    Picture, kernel and noise level have the forms that `Restorer.restore` takes, but for `"auto"`. `downsampler` is
    "bicubic" or "direct"; `seed` is the seed of the noise. HR is cropped at the bottom and at the right to multiples of
    the scale. With `jpeg`, a quality from 1 to 100 or tables, LR is clipped, rounded to 8 bits, compressed and decoded.
    A uint8 or uint16 result is clipped and rounded, a float result is not. Raises InputError, which names the argument.
    """
    pixels = to_pixels(picture)
    if not isinstance(downsampler, str) or downsampler not in ("bicubic", "direct"):
        raise InputError(f"expected bicubic or direct, found {reprlib.repr(downsampler)}", "downsampler")
    noise_level, jpeg = checked_noise_level(noise_level), checked_jpeg(jpeg)
    seed, scale = _checked_integer("seed", seed, minimum=0), _checked_integer("scale", scale, minimum=1)
    hr = _hr_tensor(pixels, scale)
    noise = _noise(seed, hr, scale, pixels.grey) if noise_level else None
    kernels = torch.from_numpy(to_kernel(kernel))[None]
    degradation = Degradation.uniform(kernels, torch.tensor([noise_level]))
    lr = degrade(hr, degradation, scale, downsampler, noise=noise)
    if jpeg is not None:
        lr = compress_picture(lr, jpeg)
    lr = lr[0].permute(1, 2, 0).numpy()
    alpha = None if pixels.alpha is None else degrade_alpha(pixels.alpha, degradation, scale, downsampler)
    return pixels.convert_back(pixels.to_dtype(lr, pixels.grey), alpha)


def _checked_integer(name: str, value: Any, minimum: int) -> int:
    number = to_integer(value)
    if number is None or number < minimum:
        raise InputError(f"expected a whole number of at least {minimum}, found {reprlib.repr(value)}", name)
    return number


def _hr_tensor(pixels: Pixels, scale: int) -> Tensor:
    """The pixels as (1, 3, s·h, s·w) float64; raises InputError if a side is shorter than the scale."""
    height, width, _ = pixels.rgb.shape
    if min(height, width) < scale:
        raise InputError(f"expected sides of at least {scale} pixels, found {width}×{height}", "picture")
    rgb = pixels.rgb if pixels.alpha is None else spread_visible_colours(pixels.rgb, pixels.alpha)
    return modcrop(torch.from_numpy(as_floats(rgb).astype(np.float64)).permute(2, 0, 1)[None], scale)


def _noise(seed: int, hr: Tensor, scale: int, grey: bool) -> Tensor:
    """Seeded noise of LR's shape; the channels of a grey picture get equal noise."""
    noise = seeded_noise(seed, hr, scale)
    return noise[:, :1].expand_as(noise) if grey else noise


def degrade_alpha(
    alpha: NDArray[np.float64], degradation: Degradation, scale: int, downsampler: str = "bicubic"
) -> NDArray[np.float64]:
    """Alpha (H, W), 0 to 1, blurred and downsampled as the picture is, without noise, and clipped: (h, w)."""
    cropped = modcrop(torch.from_numpy(alpha)[None, None], scale)
    return degrade(cropped, degradation, scale, downsampler)[0, 0].clamp(0, 1).numpy()


def checked_noise_level(noise_level: Any) -> float:
    """The noise level as float; raises InputError unless it is a number from 0 to 255."""
    number = to_real(noise_level)
    if number is None or not 0 <= number <= 255:
        raise InputError(f"expected a number from 0 to 255, found {reprlib.repr(noise_level)}", "noise_level")
    return number


def compress_picture(lr: Tensor, jpeg: int | JpegTables) -> Tensor:
    """LR (1, 3, h, w) in 0 to 1, clipped, rounded to 8 bits, compressed by libjpeg and decoded, in the dtype of LR.

    `jpeg` is the tables, or a quality of the standard tables, in 4:2:0. If the three channels are equal, the JPEG is
    grey.
    """
    tables = JpegTables.of_quality(jpeg) if isinstance(jpeg, int) else jpeg
    rgb = quantise(lr[0].permute(1, 2, 0).numpy(), np.dtype(np.uint8))
    decoded = compress_array(rgb, tables, has_equal_channels(rgb))
    return torch.from_numpy(decoded / 255).permute(2, 0, 1)[None].to(lr)


def border(scale: int, kernel_size: int = KERNEL_SIZE) -> int:
    """The width in LR pixels of the border of LR that depends on what lies outside the HR picture.

    Blur reads HR pixels up to half a kernel away, bicubic downsampling HR pixels up to 2·s away.
    """
    return ceil_div(kernel_size // 2 + 2 * scale, scale)
