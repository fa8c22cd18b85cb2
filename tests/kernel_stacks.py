"""Helpers of tests: several kernels as files hold them."""

import numpy as np

from plain_kernels import asymmetric_kernel


def kernel_stack(count=3, size=15):
    return np.stack([asymmetric_kernel(size, seed) for seed in range(count)])


def cell_array(*kernels):
    cells = np.empty(len(kernels), object)
    cells[:] = kernels
    return cells
