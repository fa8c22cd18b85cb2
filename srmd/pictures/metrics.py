"""Luma, PSNR and SSIM, as the field's tables have them; float64 throughout."""

import numpy as np
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div

SSIM_WINDOW = 11


def luma(rgb: NDArray) -> NDArray:
    """Y of ITU-R BT.601, 16 to 235, not rounded; (H, W, 3) in 0 to 1 → (H, W)."""
    weights = np.array([65.481, 128.553, 24.966])
    return 16 + np.ascontiguousarray(rgb) @ weights  # in one order, so that equal pictures stay equal to the bit


def psnr(a: NDArray, b: NDArray) -> float:
    """The peak signal-to-noise ratio in dB on the scale 0 to 255; infinite for equal arrays."""
    error = np.mean((a - b) ** 2, dtype=np.float64)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def without_infinities(row: dict) -> dict:
    """The row for JSON, which knows no infinite PSNR: null."""
    return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in row.items()}


def ssim(a: NDArray, b: NDArray) -> float:
    """Wang's structural similarity of (H, W) arrays on the scale 0 to 255; sides of at least 11 pixels."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    )


def min_side(scale: int) -> int:
    """The shortest side, a multiple of the scale, whose shaved picture still holds a window of SSIM."""
    return scale * ceil_div(SSIM_WINDOW + 2 * scale, scale)


def score(sr: NDArray, hr: NDArray, scale: int) -> dict[str, float]:
    """`psnr_y`, `ssim_y`, `psnr_rgb` of (H, W, 3) pictures in 0 to 1.

    SR is clipped and rounded to 8 bits, and `scale` pixels are shaved off on each side.
    """
    inner = (slice(scale, -scale), slice(scale, -scale))
    sr = np.round(np.clip(sr.astype(np.float64), 0, 1) * 255)[inner] / 255
    hr = hr.astype(np.float64)[inner]
    sr_y, hr_y = luma(sr), luma(hr)
    return {"psnr_y": psnr(sr_y, hr_y), "ssim_y": ssim(sr_y, hr_y), "psnr_rgb": psnr(sr * 255, hr * 255)}
