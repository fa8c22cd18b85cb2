"""P, the PCA matrix, and kernel codes, P · vec(kernel)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.matlab import describe_variables, read_mat
from srmd.kernel.families import KERNEL_SIZE, WIDE_KERNEL_SIZE, random_kernels

PCA_DIM = 15
# P is computed from PCA_KERNELS random kernels for scale 4, which have the widest ranges of widths.
PCA_KERNELS = 10_000
PCA_SEED = 0
PCA_SCALE = 4
SHIPPED_PCA = {KERNEL_SIZE: "pca.mat", WIDE_KERNEL_SIZE: f"pca_{WIDE_KERNEL_SIZE}.mat"}  # files in kernels/ by window
PCA_NAMES = ("P", "p")  # of the variable in a .mat file; KAIR's file has a lower-case p
MIN_EIGENVALUE = 1e-12  # of K·Kᵀ, relative to the largest; smaller ones are rounding errors


def pca_matrix(size: int = KERNEL_SIZE) -> NDArray[np.float32]:
    """This project's P for a window, (15, size²), computed from random Gaussian kernels; one P serves all scales."""
    rng = np.random.Generator(np.random.PCG64(PCA_SEED))
    return principal_components(random_kernels(rng, PCA_KERNELS, PCA_SCALE, size), PCA_DIM)


def pca_energy(kernels: NDArray, pca: NDArray) -> float:
    """The share, 0 to 1, of the sum of squares of kernels (n, k, k) that their codes with P (pca_dim, k²) keep."""
    return float((kernel_codes(kernels, pca) ** 2).sum() / (kernels**2).sum())


def principal_components(kernels: NDArray, count: int) -> NDArray[np.float32]:
    """P of kernels (n, k, k): the `count` leading eigenvectors of K·Kᵀ, (count, k²) float32.

    K holds the kernels as columns, without subtracting their mean. The sign of an eigenvector is arbitrary; it is
    chosen so that the product with a fixed vector is positive. Raises InputError if the kernels span fewer than `count`
    dimensions: some numbers of the code would then be 0 for all kernels.
    """
    vectors = kernels.mT.reshape(len(kernels), -1)
    eigenvalues, eigenvectors = np.linalg.eigh(vectors.T @ vectors)  # ascending
    dimensions = int((eigenvalues > MIN_EIGENVALUE * eigenvalues[-1]).sum())
    if count > dimensions:
        raise InputError(f"expected at most {dimensions}, the dimensions that the training kernels span, found {count}")
    pca = eigenvectors[:, : -count - 1 : -1].T
    signs = np.sign(pca @ np.cos(np.arange(pca.shape[1])))
    return (pca * signs[:, None]).astype(np.float32, order="C")


def kernel_codes(kernels, pca):
    """The kernel codes P · vec(kernel), (..., pca_dim), of kernels (..., k, k) with P (pca_dim, k²).

    Both arguments are NumPy arrays, or both are tensors. `vec` lists a kernel column by column, as MATLAB's `k(:)`.
    """
    return kernels.mT.reshape(*kernels.shape[:-2], -1) @ pca.T


def code_error(kernel: NDArray, pca: NDArray) -> float:
    """The relative error of a kernel (k, k) computed back from its code with P (pca_dim, k²): ‖k - Pᵀ·P·k‖ / ‖k‖."""
    vector = kernel.T.reshape(-1)
    return float(np.linalg.norm(vector - pca.T @ kernel_codes(kernel, pca)) / np.linalg.norm(vector))


def is_pca(name: str, value: Any) -> bool:
    """Whether a variable of a .mat file is P, (pca_dim, k²), k odd, and not a kernel of that name."""
    is_matrix = name in PCA_NAMES and isinstance(value, np.ndarray) and value.ndim == 2
    return is_matrix and value.shape[0] < value.shape[1] and is_odd_square(value.shape[1])


def is_odd_square(number: int) -> bool:
    """Whether a number is the square of an odd number, as the number of taps of a kernel is."""
    return number % 2 == 1 and round(number**0.5) ** 2 == number


def read_pca(path: Path, size: int = KERNEL_SIZE) -> NDArray[np.float32]:
    """P (15, size²), for codes of 15 numbers and size×size kernels, in the variable `P` or `p` of a .mat file.

    Raises InputError for any other file.
    """
    values = read_mat(path)
    name = next((name for name in PCA_NAMES if name in values), None)
    pca = values.get(name)
    if not isinstance(pca, np.ndarray) or pca.shape != (PCA_DIM, size**2) or pca.dtype.kind != "f":
        found = describe_variables(values if name is None else {name: pca})
        raise InputError(f"{path}: expected a real matrix P of {PCA_DIM}×{size**2}, found {found}")
    if not np.isfinite(pca).all():
        raise InputError(f"{path}: expected finite numbers in P, found NaN or infinity")
    return pca.astype(np.float32)
