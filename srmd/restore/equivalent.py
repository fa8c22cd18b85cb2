"""The kernel for bicubic downsampling that is equivalent to another kernel for direct downsampling."""

import numpy as np
import torch
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div
from srmd.degradation import resize_matrix
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.window import fit_kernel

# Weight of the ridge, relative to the mean eigenvalue of the normal matrix. A third of it, or three times as much,
# changes PSNR by less than 0.05 dB.
RIDGE = 0.01
MIN_PERIOD = 32  # minimum side, in LR pixels, of the periodic grid on which the spectra are computed


def equivalent_kernel(kernel: NDArray, scale: int, size: int = KERNEL_SIZE) -> NDArray:
    """The kernel for bicubic downsampling that is equivalent to `kernel` for direct downsampling.

    `kernel` is (k, k); the result, k_b in the paper, is (size, size), sum 1. Blur with k_b and bicubic downsampling
    give nearly the same LR as blur with `kernel` and direct downsampling. So a network that was trained for bicubic
    downsampling is told k_b instead of `kernel`. k_b minimises

        Σ_f |B(f)·K(f) - D(f)|² / |f|² + ridge·‖k_b - start‖²

    where f are the frequencies of a periodic HR grid, K is the spectrum of k_b, B the spectrum of bicubic downsampling
    and D the spectrum of `kernel` with direct downsampling. The weight 1 / |f|² is the mean power spectrum of photos.
    Frequencies that bicubic downsampling suppresses do not determine k_b; the ridge keeps them as in `start`, which is
    `kernel` padded or cropped to (size, size).
    """
    period = scale * max(MIN_PERIOD, ceil_div(2 * len(kernel), scale))
    frequency = np.hypot(np.fft.fftfreq(period)[:, None], np.fft.fftfreq(period))
    frequency[0, 0] = 0.5 / period  # in place of 0, to avoid a division by zero
    bicubic = _bicubic_spectrum(period, scale)
    direct = _direct_spectrum(kernel, period, scale)
    row, column = (axis.ravel() - size // 2 for axis in np.indices((size, size)))
    correlation = np.fft.ifft2(np.abs(bicubic) ** 2 / frequency**2).real
    normal_matrix = correlation[(row[:, None] - row) % period, (column[:, None] - column) % period]
    right_side = np.fft.ifft2(bicubic.conj() * direct / frequency**2).real[row % period, column % period]
    start = fit_kernel(kernel, size).ravel()
    ridge = RIDGE * np.trace(normal_matrix) / len(start) * np.eye(len(start))
    solution = start + np.linalg.solve(normal_matrix + ridge, right_side - normal_matrix @ start)
    return (solution / solution.sum()).reshape(size, size)


def _bicubic_spectrum(period: int, scale: int) -> NDArray:
    """The spectrum (period, period) of the weights with which bicubic downsampling makes an LR pixel."""
    middle = period // scale // 2  # an LR pixel whose weights do not reach the borders
    weights = resize_matrix(period, period // scale, torch.float64, torch.device("cpu"))[middle].numpy()
    spectrum = np.fft.fft(np.roll(weights, -middle * scale))
    return spectrum[:, None] * spectrum


def _direct_spectrum(kernel: NDArray, period: int, scale: int) -> NDArray:
    """The spectrum (period, period) of a kernel (k, k) around the HR pixel that direct downsampling keeps."""
    weights = np.zeros((period, period))
    position = (np.arange(len(kernel)) - len(kernel) // 2 + scale // 2) % period
    np.add.at(weights, (position[:, None], position), kernel)
    return np.fft.fft2(weights)
