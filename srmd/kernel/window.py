"""Where a kernel lies in its window: centred, padded, cropped."""

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.kernel.families import KERNEL_SIZE

MIN_MOVE = 1e-3  # pixels: a kernel that is less off its middle stays where it is
SPLINE_TAIL = 8  # pixels in which a cubic spline falls to 3e-5
MAX_TRIMMED = 1e-4  # of the absolute values of a kernel that was moved
MIN_SUM = 0.1  # of a cropped kernel: below, it says nothing of the whole


def centre_offset(kernel: NDArray) -> NDArray:
    """Where the centre of mass of a kernel (k, k) lies, in (rows, columns) from its middle."""
    half = len(kernel) // 2
    position = np.arange(-half, half + 1)
    return np.array([kernel.sum(1) @ position, kernel.sum(0) @ position]) / kernel.sum()


def recentre_kernel(kernel: NDArray) -> NDArray:
    """The kernel (k, k) moved by cubic splines so that its centre of mass is its middle; (l, l), l odd, sum 1.

    Splines keep the centre of mass exactly and widths well, which linear interpolation would blur. The window grows by
    the move, and is then cut to what holds all but 1e-4 of the absolute values. InputError where the centre of mass
    lies outside, as negative values can have it.
    """
    import scipy.ndimage

    shift = -centre_offset(kernel)
    if np.abs(shift).max() < MIN_MOVE:
        return kernel
    if np.abs(shift).max() > len(kernel) / 2:
        found = ", ".join(f"{-part:.3g}" for part in shift)
        raise InputError(f"expected a kernel's centre of mass inside of it, found it {found} rows, columns off")
    padded = np.pad(kernel, int(np.ceil(np.abs(shift).max())) + SPLINE_TAIL)
    moved = scipy.ndimage.shift(padded, shift, order=3)
    sizes = np.abs(moved)
    cut = 0
    while sizes[cut + 1 : -cut - 1, cut + 1 : -cut - 1].sum() > (1 - MAX_TRIMMED) * sizes.sum():
        cut += 1
    moved = moved[cut : len(moved) - cut, cut : len(moved) - cut]
    return moved / moved.sum()


def cropped_share(kernel: NDArray, size: int) -> float:
    """How much of a kernel (k, k) lies outside of its inner size×size, 0 to 1 of its absolute values."""
    cut, outer = max(len(kernel) - size, 0) // 2, np.abs(kernel)
    total = outer.sum()
    outer[cut : len(kernel) - cut, cut : len(kernel) - cut] = 0
    return float(outer.sum() / total)


def fit_kernel(kernel: NDArray, size: int = KERNEL_SIZE, normalise: bool = True) -> NDArray:
    """The kernel in a window of size×size: padded with zeros, or cropped about its centre and normalised again."""
    pad = max(size - len(kernel), 0) // 2
    cut = max(len(kernel) - size, 0) // 2
    kernel = np.pad(kernel, pad)[cut : cut + size, cut : cut + size]
    if kernel.sum() < MIN_SUM:
        expected = f"the inner {size}×{size} of a kernel, which the network is told, to sum to {MIN_SUM} or more"
        raise InputError(f"expected {expected}, found {kernel.sum():.2g}")
    return kernel / kernel.sum() if normalise else kernel


def stack_kernels(kernels: list[NDArray]) -> NDArray:
    """Kernels of several sizes as one array, (M, k, k), the smaller ones padded with zeros."""
    size = max(len(kernel) for kernel in kernels)
    return np.stack([fit_kernel(kernel, size, normalise=False) for kernel in kernels])
