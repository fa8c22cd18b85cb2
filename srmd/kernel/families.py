"""Delta, Gaussian and asymmetric kernels, and the random kernels of training.

A kernel is a (k, k) array, k odd, sum 1, in correlation orientation with its centre at k // 2. Widths are standard
deviations in HR pixels. This module imports no torch, so that flags are checked before torch is imported.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

KERNEL_SIZE = 15  # side of the window, HR pixels
WIDE_KERNEL_SIZE = 21  # for wide blur at x3 and x4: 15×15 loses 7 % of a Gaussian of width 3.6, 21×21 loses 0.7 %
NO_BLUR_SHARE = 1 / 20  # share of training's kernels that are delta kernels
# Upper ends at small scales of the ranges of training's kernels: width of isotropic, variance of anisotropic kernels.
MAX_WIDTH, MAX_VARIANCE = 2.6, 8.0


def delta(size: int = KERNEL_SIZE) -> NDArray:
    """The kernel that does not blur, (size, size): 1 in the centre, 0 elsewhere."""
    kernel = np.zeros((size, size))
    kernel[size // 2, size // 2] = 1
    return kernel


def gaussian(width1: ArrayLike, width2: ArrayLike | None = None, angle: ArrayLike = 0.0, size: int = KERNEL_SIZE):
    """Gaussian kernels, cut to the window and summing to 1, as MATLAB's `fspecial('gaussian', size, width)`.

    Scalars give (size, size), arrays (N,) give (N, size, size). The axis of `width1` has the direction (cos angle,
    sin angle) in (column, row), rows growing downwards; `angle` is in degrees.
    """
    width1, width2, angle = np.broadcast_arrays(width1, width1 if width2 is None else width2, np.deg2rad(angle))
    width1, width2, angle = (values.astype(np.float64)[..., None, None] for values in (width1, width2, angle))
    row, column = np.mgrid[:size, :size] - size // 2
    along = column * np.cos(angle) + row * np.sin(angle)
    across = row * np.cos(angle) - column * np.sin(angle)
    with np.errstate(over="ignore"):  # a width near 0 gives a delta kernel
        kernel = np.exp(-((along / width1) ** 2 + (across / width2) ** 2) / 2)
    return kernel / kernel.sum((-2, -1), keepdims=True)


def asymmetric() -> NDArray:
    """A bent stroke that fades from one end to the other, (15, 15), with its centre of mass in the middle.

    No flip or rotation maps it onto itself, so that it shows mistakes in orientation.
    """
    time = np.linspace(0, 1, 41)  # along the stroke
    weight = (1 - 0.7 * time) / (1 - 0.7 * time).sum()
    column, row = 6 * time, 5 * time**2  # HR pixels
    rows, columns = np.mgrid[:KERNEL_SIZE, :KERNEL_SIZE] - KERNEL_SIZE // 2
    x = columns[..., None] - (column - weight @ column)
    y = rows[..., None] - (row - weight @ row)
    kernel = np.exp(-(x**2 + y**2) / (2 * 0.8**2)) @ weight  # the stroke is a Gaussian of width 0.8 that moves
    return kernel / kernel.sum()


def max_width(scale: int) -> float:
    """The largest width of training's isotropic kernels, HR pixels."""
    return max(scale, 2, MAX_WIDTH)


def max_variance(scale: int) -> float:
    """The largest variance of training's anisotropic kernels, HR pixels²."""
    return max(2 + 2 * scale, 6, MAX_VARIANCE)


def random_kernels(rng: np.random.Generator, count: int, scale: int, size: int = KERNEL_SIZE) -> NDArray:
    """Random Gaussian kernels for training, (count, size, size): half isotropic, half anisotropic.

    One kernel in twenty is a delta kernel. Isotropic widths lie in 0.2 to max(s, 2.6), the variances of anisotropic
    kernels in 0.5 to max(2 + 2s, 8): the ranges of the paper's section 4.1, widened for small scales. Scale 1 has the
    ranges of scale 2.
    """
    isotropic_widths = rng.uniform(0.2, max_width(scale), count)
    variances = rng.uniform(0.5, max_variance(scale), (2, count))
    angle = rng.uniform(0, 180, count)
    is_isotropic = rng.random(count) < 0.5
    width1, width2 = np.where(is_isotropic, isotropic_widths, np.sqrt(variances))
    kernels = gaussian(width1, width2, angle, size)
    kernels[rng.random(count) < NO_BLUR_SHARE] = delta(size)
    return kernels
