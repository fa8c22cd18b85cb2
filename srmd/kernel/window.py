"""Changes the window of a kernel: centres it by mass, pads it and crops it."""

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.kernel.families import KERNEL_SIZE

MIN_SHIFT = 1e-3  # HR pixels; a kernel whose centre of mass is nearer to its middle is not shifted
SPLINE_TAIL = 8  # pixels after which the response of a cubic spline has fallen to 3e-5
MAX_TRIMMED = 1e-4  # largest share of a shifted kernel's absolute values that cropping may remove
MIN_SUM = 0.1  # of a cropped kernel, whose sum was 1 before; with less it does not describe the whole kernel


def centre_offset(kernel: NDArray) -> NDArray:
    """The centre of mass of a kernel (k, k) relative to its middle, (rows, columns), in HR pixels."""
    half = len(kernel) // 2
    position = np.arange(-half, half + 1)
    return np.array([kernel.sum(1) @ position, kernel.sum(0) @ position]) / kernel.sum()


def recentre_kernel(kernel: NDArray) -> NDArray:
    """The kernel (k, k) shifted so that its centre of mass is in the middle; (l, l), l odd, sum 1.

    It is interpolated with cubic splines, which keep the centre of mass exactly and the width closely; linear
    interpolation would blur the kernel. The result has the smallest window that holds all but 1e-4 of the absolute
    values. Raises InputError if the centre of mass is outside the kernel, which is possible with negative values.
    """
    import scipy.ndimage

    shift = -centre_offset(kernel)
    if np.abs(shift).max() < MIN_SHIFT:
        return kernel
    if np.abs(shift).max() > len(kernel) / 2:
        rows, columns = -shift
        found = f"{rows:.3g} rows and {columns:.3g} columns from its middle"
        raise InputError(f"expected the centre of mass inside the kernel, found it {found}")
    padded = np.pad(kernel, int(np.ceil(np.abs(shift).max())) + SPLINE_TAIL)
    moved = scipy.ndimage.shift(padded, shift, order=3)
    absolute = np.abs(moved)
    cut = 0  # rows and columns to cut off at each side
    while absolute[cut + 1 : -cut - 1, cut + 1 : -cut - 1].sum() > (1 - MAX_TRIMMED) * absolute.sum():
        cut += 1
    moved = moved[cut : len(moved) - cut, cut : len(moved) - cut]
    return moved / moved.sum()


def cropped_share(kernel: NDArray, size: int) -> float:
    """The share, 0 to 1, of the absolute values of a kernel (k, k) that lies outside its inner size×size."""
    cut = max(len(kernel) - size, 0) // 2
    outside = np.abs(kernel)
    total = outside.sum()
    outside[cut : len(kernel) - cut, cut : len(kernel) - cut] = 0
    return float(outside.sum() / total)


def fit_kernel(kernel: NDArray, size: int = KERNEL_SIZE, normalise: bool = True) -> NDArray:
    """The kernel (k, k) in a window of size×size: padded with zeros, or cropped on all sides.

    If `normalise` is true, it is divided by its sum. Raises InputError if the cropped kernel has a sum below MIN_SUM.
    """
    pad = max(size - len(kernel), 0) // 2
    cut = max(len(kernel) - size, 0) // 2
    kernel = np.pad(kernel, pad)[cut : cut + size, cut : cut + size]
    if kernel.sum() < MIN_SUM:
        window = f"the inner {size}×{size} of the kernel, which is the window of the network"
        raise InputError(f"expected a sum of at least {MIN_SUM} in {window}, found {kernel.sum():.2g}")
    return kernel / kernel.sum() if normalise else kernel


def stack_kernels(kernels: list[NDArray]) -> NDArray:
    """Kernels of any sizes as one array, (M, k, k), k the largest size; smaller kernels are padded with zeros."""
    size = max(len(kernel) for kernel in kernels)
    return np.stack([fit_kernel(kernel, size, normalise=False) for kernel in kernels])
