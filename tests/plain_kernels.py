"""Kernels and their moments computed by loops or by definition, to compare with."""

import math

import numpy as np

from srmd.kernel import specs


def gaussian_by_loops(width1, width2, degrees, size=15):
    """An oriented Gaussian (size, size) from its covariance matrix, one tap at a time."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[c, -s], [s, c]])
    precision = np.linalg.inv(rotation @ np.diag([width1**2, width2**2]) @ rotation.T)
    kernel = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            xy = np.array([column - size // 2, row - size // 2], dtype=float)
            kernel[row, column] = math.exp(-0.5 * xy @ precision @ xy)
    return kernel / kernel.sum()


def moments(kernel):
    """Centre of mass and 2×2 covariance of a kernel with sum 1, in (column, row) from its middle."""
    size, half = len(kernel), len(kernel) // 2
    taps = [
        (kernel[row, column], np.array([column - half, row - half], dtype=float))
        for row in range(size)
        for column in range(size)
    ]
    mean = sum(value * position for value, position in taps)
    return mean, sum(value * np.outer(position - mean, position - mean) for value, position in taps)


def parse_kernel(spec):
    """The only kernel of a kernel spec."""
    (kernel,) = specs.parse_kernels(spec)
    return kernel


def variances_and_angles(kernels):
    """Variances (N, 2) ascending and the long axis's angle in degrees (N,) of Gaussians (N, 15, 15), from four taps."""
    middle, right, below, corner = (np.log(kernels[:, r, c]) for r, c in [(7, 7), (7, 8), (8, 7), (8, 8)])
    xx, yy = 2 * (middle - right), 2 * (middle - below)
    xy = middle - corner - (xx + yy) / 2
    precision, axes = np.linalg.eigh(np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2))
    return 1 / precision[:, ::-1], np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])) % 180


def asymmetric_kernel(size=15, seed=3):
    """A random kernel (size, size) that no turn or flip maps onto itself."""
    kernel = np.random.default_rng(seed).random((size, size))
    return kernel / kernel.sum()
