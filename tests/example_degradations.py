"""Random pictures, kernels and degradations, and MATLAB's imresize computed by loops, for the tests of degradations."""

import math

import numpy as np
import torch

from srmd.degradation import Degradation

SCALES = [1, 2, 3, 4, 8]


def random_picture(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def asymmetric_kernels(count, size=15, seed=3):
    """Random kernels (count, size, size) that no turn or flip maps onto themselves."""
    k = np.random.default_rng(seed).random((count, size, size))
    return torch.from_numpy(k / k.sum((1, 2), keepdims=True))


def uniform_degradation(kernels, levels=0.0):
    kernels = torch.as_tensor(kernels)
    return Degradation.uniform(kernels, torch.full((len(kernels),), levels, dtype=kernels.dtype))


def random_mix(n=2, parts=3, height=8, width=9):
    """A mix of `parts` kernels and noise levels with random weights at each LR pixel."""
    weights = random_picture(n, parts, height, width, seed=7) + 0.1
    levels = torch.linspace(0, 50, n * parts, dtype=torch.float64).view(n, parts)
    return Degradation(
        asymmetric_kernels(n * parts).view(n, parts, 15, 15), levels, weights / weights.sum(1, keepdim=True)
    )


def linear_ramps(scale):
    """A linear ramp on the HR grid, and its values at the centres of 20×20 LR pixels."""
    fine = torch.arange(20.0 * scale, dtype=torch.float64)
    coarse = scale * torch.arange(20, dtype=torch.float64) + (scale - 1) / 2
    return ((3 * line[:, None] + line)[None, None] for line in (fine, coarse))


def without_border(pictures, margin):
    return pictures[..., margin:-margin, margin:-margin]


def assert_close(a, b, atol):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


def cubic(x):
    """Keys' kernel with a = -1/2."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def resize_line(line, size):
    """MATLAB's imresize of one line, straight from its definition: antialiased, borders mirrored with the edge."""
    scale = size / len(line)
    shrink = min(scale, 1)
    out = []
    for i in range(size):
        centre = (i + 0.5) / scale - 0.5
        reach = range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1)
        weights = [cubic((centre - j) * shrink) for j in reach]
        values = [line[min(j % (2 * len(line)), (-j - 1) % (2 * len(line)))] for j in reach]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


def resize_by_loops(picture, height, width):
    rows = np.array([resize_line(row, width) for row in picture])
    return np.array([resize_line(column, height) for column in rows.T]).T
