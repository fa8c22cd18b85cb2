"""What a kernel is: families, and the P that turns a kernel into its code.

    python kernel.py    # makes kernels/*.mat again

No torch here, so that flags are checked before it is imported. A kernel is a (k, k) array, k odd, sum 1, in
correlation orientation with its centre at k // 2. Widths are standard deviations in HR pixels.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from errors import InputError
from kernel_files import SUFFIXES, read_kernels, write_mat
from matlab import read_mat

KERNEL_SIZE = 15
PCA_DIM = 15
PCA_KERNELS, PCA_SEED = 10_000, 0  # that P is computed from
PCA_SCALE = 4  # whose range of kernels holds those of smaller scales
NO_BLUR_SHARE = 1 / 20  # of training's kernels
FORMS = "delta, gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file"
LEAST_MOVE = 1e-3  # pixels: a kernel that is less off its middle stays where it is
SPLINE_TAIL = 8  # pixels in which a cubic spline falls to 3e-5
MOST_TRIMMED = 1e-4  # of the absolute values of a kernel that was moved
LEAST_VARIANCE = 1e-12  # of the largest, that an eigenvector of K·Kᵀ has: below lies what rounding leaves
LEAST_SUM = 0.1  # of a cropped kernel: below, it says nothing of the whole


def delta(size: int = KERNEL_SIZE) -> NDArray:
    """The kernel that blurs nothing; (size, size)."""
    kernel = np.zeros((size, size))
    kernel[size // 2, size // 2] = 1
    return kernel


def gaussian(width1: ArrayLike, width2: ArrayLike | None = None, angle: ArrayLike = 0.0, size: int = KERNEL_SIZE):
    """Gaussian kernels, cut to the window and summing to 1, as MATLAB's `fspecial('gaussian', size, width)`.

    Scalars give (size, size), arrays (N,) give (N, size, size). The axis of `width1` lies along
    (cos angle, sin angle) in (column, row), rows growing downwards; `angle` in degrees.
    """
    width1, width2, angle = np.broadcast_arrays(width1, width1 if width2 is None else width2, np.deg2rad(angle))
    width1, width2, angle = (a.astype(np.float64)[..., None, None] for a in (width1, width2, angle))
    row, column = np.mgrid[:size, :size] - size // 2
    along = column * np.cos(angle) + row * np.sin(angle)
    across = row * np.cos(angle) - column * np.sin(angle)
    with np.errstate(over="ignore"):  # a width of next to nothing leaves the middle
        kernel = np.exp(-((along / width1) ** 2 + (across / width2) ** 2) / 2)
    return kernel / kernel.sum((-2, -1), keepdims=True)


def asymmetric() -> NDArray:
    """A bent stroke that fades along its way, its centre of mass in the middle: no turn maps it onto itself."""
    time = np.linspace(0, 1, 41)
    weight = (1 - 0.7 * time) / (1 - 0.7 * time).sum()
    column, row = 6 * time, 5 * time**2
    rows, columns = np.mgrid[:KERNEL_SIZE, :KERNEL_SIZE] - KERNEL_SIZE // 2
    x = columns[..., None] - (column - weight @ column)
    y = rows[..., None] - (row - weight @ row)
    kernel = np.exp(-(x**2 + y**2) / (2 * 0.8**2)) @ weight
    return kernel / kernel.sum()


def random_kernels(rng: np.random.Generator, count: int, scale: int, size: int = KERNEL_SIZE) -> NDArray:
    """Training's Gaussian kernels, (count, size, size): half isotropic, half anisotropic, one in twenty without blur.

    Widths lie in 0.2 to max(s, 2.6), variances of the anisotropic in 0.5 to max(2 + 2s, 8), as the paper's section 4.1
    widened for small scales; scale 1 has the kernels of scale 2.
    """
    scale = max(scale, 2)
    isotropic = rng.uniform(0.2, max(scale, 2.6), count)
    variances = rng.uniform(0.5, max(2 + 2 * scale, 8), (2, count))
    angle = rng.uniform(0, 180, count)
    kind = rng.random(count)
    width1, width2 = np.where(kind < 0.5, isotropic, np.sqrt(variances))
    kernels = gaussian(width1, width2, angle, size)
    kernels[rng.random(count) < NO_BLUR_SHARE] = delta(size)
    return kernels


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
    spanned = int((eigenvalues > LEAST_VARIANCE * eigenvalues[-1]).sum())
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


def off_centre(kernel: NDArray) -> NDArray:
    """Where the centre of mass of a kernel (k, k) lies, in (rows, columns) from its middle."""
    half = len(kernel) // 2
    position = np.arange(-half, half + 1)
    return np.array([kernel.sum(1) @ position, kernel.sum(0) @ position]) / kernel.sum()


def recentred(kernel: NDArray) -> NDArray:
    """The kernel (k, k) moved by cubic splines so that its centre of mass is its middle; (l, l), l odd, sum 1.

    Splines keep the centre of mass exactly and widths well, which linear interpolation would blur. The window grows by
    the move, and is then cut to what holds all but 1e-4 of the absolute values. InputError where the centre of mass
    lies outside, as negative values can have it.
    """
    import scipy.ndimage

    shift = -off_centre(kernel)
    if np.abs(shift).max() < LEAST_MOVE:
        return kernel
    if np.abs(shift).max() > len(kernel) / 2:
        found = ", ".join(f"{-part:.3g}" for part in shift)
        raise InputError(f"expected a kernel's centre of mass inside of it, found it {found} rows, columns off")
    padded = np.pad(kernel, int(np.ceil(np.abs(shift).max())) + SPLINE_TAIL)
    moved = scipy.ndimage.shift(padded, shift, order=3)
    sizes = np.abs(moved)
    cut = 0
    while sizes[cut + 1 : -cut - 1, cut + 1 : -cut - 1].sum() > (1 - MOST_TRIMMED) * sizes.sum():
        cut += 1
    moved = moved[cut : len(moved) - cut, cut : len(moved) - cut]
    return moved / moved.sum()


def lost_share(kernel: NDArray, size: int) -> float:
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
    if kernel.sum() < LEAST_SUM:
        expected = f"the inner {size}×{size} of a kernel, which the network is told, to sum to {LEAST_SUM} or more"
        raise InputError(f"expected {expected}, found {kernel.sum():.2g}")
    return kernel / kernel.sum() if normalise else kernel


def stack_kernels(kernels: list[NDArray]) -> NDArray:
    """Kernels of several sizes as one array, (M, k, k), the smaller ones padded with zeros."""
    size = max(len(kernel) for kernel in kernels)
    return np.stack([fit_kernel(kernel, size, normalise=False) for kernel in kernels])


def parse_kernels(spec: str, size: int = KERNEL_SIZE) -> list[NDArray]:
    """The kernel that `delta`, `gaussian:W` or `gaussian:W1,W2,ANGLE` means, or all in the file of that path.

    Gaussians are cut to size×size.
    """
    if spec == "delta":
        return [delta()]
    if spec.startswith("gaussian:"):
        return [_parse_gaussian(spec, size)]
    if not spec.lower().endswith(SUFFIXES):
        raise InputError(f"expected {FORMS}, found {spec!r}")
    return read_kernels(Path(spec))


def _parse_gaussian(spec: str, size: int) -> NDArray:
    try:
        numbers = [float(number) for number in spec.removeprefix("gaussian:").replace("_", "?").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise InputError(f"expected gaussian:W or gaussian:W1,W2,ANGLE with numbers, found {spec!r}")
    if min(numbers[:2]) <= 0 or (len(numbers) == 3 and numbers[0] < numbers[1]):
        raise InputError(f"expected widths W > 0 and W1 ≥ W2 > 0, in HR pixels, found {spec!r}")
    return gaussian(*numbers, size=size)


def read_pca(path: Path) -> NDArray[np.float32]:
    """P from a .mat file, under the key `P`; (15, 225) for a network that is told 15 numbers of a 15×15 kernel."""
    values = read_mat(path)
    pca = values.get("P", values.get("p"))  # KAIR writes it small
    if not isinstance(pca, np.ndarray) or pca.shape != (PCA_DIM, KERNEL_SIZE**2) or pca.dtype.kind != "f":
        raise InputError(f"{path}: expected a real matrix P of 15×225, found {getattr(pca, 'shape', 'none')}")
    return pca.astype(np.float32)


def make_kernels(folder: Path) -> None:
    """Writes the kernels that the package ships (key `kernel`) and its PCA matrix (key `P`)."""
    family = {
        "delta": delta(),
        "isotropic_0.7": gaussian(0.7),
        "isotropic_1.3": gaussian(1.3),
        "isotropic_2.0": gaussian(2.0),
        "isotropic_2.6": gaussian(2.6),
        "anisotropic_2.6_1.0_30": gaussian(2.6, 1.0, 30),
        "anisotropic_3.0_1.5_120": gaussian(3.0, 1.5, 120),
        "asymmetric": asymmetric(),
    }
    folder.mkdir(exist_ok=True)
    for name, kernel in family.items():
        write_mat(folder / f"{name}.mat", {"kernel": kernel})
    write_mat(folder / "pca.mat", {"P": pca_matrix()})


if __name__ == "__main__":
    make_kernels(Path(__file__).parent / "kernels")
