"""P, which turns a kernel into its code."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.matlab import read_mat
from srmd.kernel.families import KERNEL_SIZE, random_kernels

PCA_DIM = 15
PCA_KERNELS, PCA_SEED = 10_000, 0  # that P is computed from
PCA_SCALE = 4  # whose range of kernels holds those of smaller scales
MIN_VARIANCE = 1e-12  # of the largest, that an eigenvector of K·Kᵀ has: below lies what rounding leaves


def pca_matrix() -> NDArray[np.float32]:
    """The project's P, (15, 225), of Gaussians; one for all scales."""
    rng = np.random.Generator(np.random.PCG64(PCA_SEED))
    return principal_components(random_kernels(rng, PCA_KERNELS, PCA_SCALE), PCA_DIM)


def principal_components(kernels: NDArray, count: int) -> NDArray[np.float32]:
    """P of some kernels (n, k, k): the `count` leading eigenvectors of K·Kᵀ, not centred, as (count, k²) float32.

    An eigenvector's sign is free: it is chosen so that the product with a fixed vector is positive. InputError where
    the kernels span fewer dimensions: a number that is 0 for all of them would teach a network nothing.
    """
    vectors = kernels.mT.reshape(len(kernels), -1)
    eigenvalues, eigenvectors = np.linalg.eigh(vectors.T @ vectors)  # ascending
    spanned = int((eigenvalues > MIN_VARIANCE * eigenvalues[-1]).sum())
    if count > spanned:
        raise InputError(f"expected at most {spanned}, the dimensions that the training kernels span, found {count}")
    pca = eigenvectors[:, : -count - 1 : -1].T
    signs = np.sign(pca @ np.cos(np.arange(pca.shape[1])))
    return (pca * signs[:, None]).astype(np.float32, order="C")


def kernel_codes(kernels, pca):
    """P · vec(kernel), (..., k, k) -> (..., rows of P), `vec` in column-major order; NumPy arrays or torch tensors."""
    return kernels.mT.reshape(*kernels.shape[:-2], -1) @ pca.T


def code_error(kernel: NDArray, pca: NDArray) -> float:
    """How much of a kernel (k, k) its code leaves out: ‖k - Pᵀ·P·k‖ / ‖k‖, 0 to 1."""
    vector = kernel.T.reshape(-1)
    return float(np.linalg.norm(vector - pca.T @ kernel_codes(kernel, pca)) / np.linalg.norm(vector))


def read_pca(path: Path) -> NDArray[np.float32]:
    """P from a .mat file, under the key `P`; (15, 225) for a network that is told 15 numbers of a 15×15 kernel."""
    values = read_mat(path)
    pca = values.get("P", values.get("p"))  # KAIR writes it small
    if not isinstance(pca, np.ndarray) or pca.shape != (PCA_DIM, KERNEL_SIZE**2) or pca.dtype.kind != "f":
        raise InputError(f"{path}: expected a real matrix P of 15×225, found {getattr(pca, 'shape', 'none')}")
    return pca.astype(np.float32)
