"""Luma, PSNR and SSIM as in the tables of super-resolution papers, computed in float64."""

import numpy as np
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div

SSIM_WINDOW = 11  # side in pixels of the Gaussian window of SSIM


def luma(rgb: NDArray) -> NDArray:
    """Luma Y of ITU-R BT.601, 16 to 235, not rounded; RGB (H, W, 3) in 0 to 1 → (H, W)."""
    weights = np.array([65.481, 128.553, 24.966])
    # The order of summation depends on the memory layout: with the same layout, equal pictures get exactly equal luma.
    return 16 + np.ascontiguousarray(rgb) @ weights


def psnr(a: NDArray, b: NDArray) -> float:
    """The peak signal-to-noise ratio in dB of arrays on the scale 0 to 255; infinite for equal arrays."""
    error = np.mean((a - b) ** 2, dtype=np.float64)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def non_finite_to_none(row: dict) -> dict:
    """A row of scores with None in place of infinity and NaN, which JSON does not have."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}


def ssim(a: NDArray, b: NDArray) -> float:
    """The structural similarity (Wang et al. 2004) of (H, W) arrays on the scale 0 to 255, at least 11×11 pixels."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    )


def min_side(scale: int) -> int:
    """The minimum side in HR pixels of a picture that `score` accepts, a multiple of the scale.

    The window of SSIM must fit between the `scale` pixels that are cropped on each side.
    """
    return scale * ceil_div(SSIM_WINDOW + 2 * scale, scale)


def score(sr: NDArray, hr: NDArray, scale: int) -> dict[str, float]:
    """The scores `psnr_y`, `ssim_y` and `psnr_rgb` of pictures (H, W, 3) in 0 to 1.

    SR is clipped and rounded to 8 bits, and `scale` pixels are cropped on each side of both pictures.
    """
    inner = (slice(scale, -scale), slice(scale, -scale))
    sr = np.round(np.clip(sr.astype(np.float64), 0, 1) * 255)[inner] / 255
    hr = hr.astype(np.float64)[inner]
    sr_y, hr_y = luma(sr), luma(hr)
    return {"psnr_y": psnr(sr_y, hr_y), "ssim_y": ssim(sr_y, hr_y), "psnr_rgb": psnr(sr * 255, hr * 255)}
