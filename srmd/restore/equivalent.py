"""The kernel that makes bicubic downsampling do what another does with direct downsampling."""

import numpy as np
import torch
from numpy.typing import NDArray

from srmd.degradation import resize_matrix
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.window import fit_kernel

RIDGE = 0.01  # a third or three times as much scores the same within 0.05 dB


def equivalent_kernel(kernel: NDArray, scale: int, size: int = KERNEL_SIZE) -> NDArray:
    """The kernel that blurs before bicubic downsampling most as `kernel` does before direct downsampling; (size, size).

    What the paper calls k_b, for networks that only know bicubic downsampling. It minimises

        Σ_f |B(f)·K(f) - D(f)|² / |f|² + ridge·‖k - start‖²

    over the frequencies f of a period of the HR grid: K is the spectrum of k, B that of bicubic downsampling's taps, D
    that of `kernel` moved to the pixel that direct downsampling takes. The power of photos falls with the square of
    the frequency, so the normal equations need no picture. What frequencies beyond the LR grid would leave to chance
    stays as in `start`, which is `kernel` in that window.
    """
    period = scale * max(32, -(-2 * len(kernel) // scale))
    middle = scale // 2  # the pixel that direct downsampling takes
    frequency = np.hypot(np.fft.fftfreq(period)[:, None], np.fft.fftfreq(period))
    frequency[0, 0] = 0.5 / period  # the mean counts too, as if it were half of the lowest frequency
    taps = resize_matrix(period, period // scale, torch.float64, torch.device("cpu"))[period // scale // 2].numpy()
    along_an_axis = np.fft.fft(np.roll(taps, -(period // scale // 2) * scale))
    bicubic = along_an_axis[:, None] * along_an_axis
    direct = np.zeros((period, period))
    place = np.arange(len(kernel)) - len(kernel) // 2 + middle
    np.add.at(direct, (place[:, None] % period, place % period), kernel)
    row, column = (axis.ravel() - size // 2 for axis in np.indices((size, size)))
    correlation = np.fft.ifft2(np.abs(bicubic) ** 2 / frequency**2).real
    normal_matrix = correlation[(row[:, None] - row) % period, (column[:, None] - column) % period]
    right_side = np.fft.ifft2(bicubic.conj() * np.fft.fft2(direct) / frequency**2).real[row % period, column % period]
    start = fit_kernel(kernel, size).ravel()
    ridge = RIDGE * np.trace(normal_matrix) / len(start) * np.eye(len(start))
    found = start + np.linalg.solve(normal_matrix + ridge, right_side - normal_matrix @ start)
    return (found / found.sum()).reshape(size, size)
