"""What a kernel is: families, files, and the P that turns a kernel into its 15 numbers.

    python kernel.py    # makes kernels/*.mat again

NumPy only, so that flags can be checked before torch is imported. A kernel is a (k, k) array, k odd, sum 1, in
correlation orientation with its centre at k // 2. Widths are standard deviations in HR pixels.
"""

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from errors import InputError

KERNEL_SIZE = 15
PCA_DIM = 15
NO_BLUR_SHARE = 1 / 20  # of training's kernels
FORMS = "delta, gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy or .png file"
LEAST_VARIANCE = 1e-12  # of the largest, that an eigenvector of K·Kᵀ has: below lies what rounding leaves
LEAST_SUM = 0.1  # of a cropped kernel: below, it says nothing of the whole
MAT_HEADER = b"MATLAB 5.0 MAT-file, a blur kernel or P of SRMD".ljust(116)


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
    """The project's P, (15, 225), of 10,000 Gaussians of x4's range: the widest range holds the narrower ones too."""
    return principal_components(random_kernels(np.random.Generator(np.random.PCG64(0)), 10_000, scale=4), PCA_DIM)


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


def fit_kernel(kernel: NDArray, size: int = KERNEL_SIZE, normalise: bool = True) -> NDArray:
    """The kernel in a window of size×size: padded with zeros, or cropped about its centre and normalised again."""
    pad = max(size - len(kernel), 0) // 2
    cut = max(len(kernel) - size, 0) // 2
    kernel = np.pad(kernel, pad)[cut : cut + size, cut : cut + size]
    if kernel.sum() < LEAST_SUM:
        raise InputError(
            f"the inner {size}×{size} of the kernel, which the network is told, sums to {kernel.sum():.2g}"
        )
    return kernel / kernel.sum() if normalise else kernel


def stack_kernels(kernels: list[NDArray]) -> NDArray:
    """Kernels of several sizes as one array, (M, k, k), the smaller ones padded with zeros."""
    size = max(len(kernel) for kernel in kernels)
    return np.stack([fit_kernel(kernel, size, normalise=False) for kernel in kernels])


def parse_kernel(spec: str) -> NDArray:
    """The kernel that `delta`, `gaussian:W`, `gaussian:W1,W2,ANGLE` or the path of a .mat, .npy or .png file means.

    Raises InputError for anything that is not a square of odd side with a positive sum. Comes back with sum 1.
    """
    if spec == "delta":
        return delta()
    if spec.startswith("gaussian:"):
        return _parse_gaussian(spec)
    readers = {".mat": _read_mat, ".npy": _read_npy, ".png": _read_png}
    path = Path(spec)
    if path.suffix.lower() not in readers:
        raise InputError(f"expected {FORMS}, found {spec!r}")
    if not path.is_file():
        raise InputError(f"{spec}: no such file")
    return _checked(readers[path.suffix.lower()](path), spec)


def _parse_gaussian(spec: str) -> NDArray:
    try:
        numbers = [float(number) for number in spec.removeprefix("gaussian:").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise InputError(f"expected gaussian:W or gaussian:W1,W2,ANGLE with numbers, found {spec!r}")
    if min(numbers[:2]) <= 0 or (len(numbers) == 3 and numbers[0] < numbers[1]):
        raise InputError(f"expected widths W > 0 and W1 ≥ W2 > 0, in HR pixels, found {spec!r}")
    return gaussian(*numbers)


def _checked(kernel: NDArray, source: str) -> NDArray:
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        shape = "×".join(map(str, kernel.shape))
        raise InputError(f"{source}: expected a square kernel of odd side, found an array of {shape or 'no dimension'}")
    if kernel.dtype.kind not in "biuf" or not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise InputError(f"{source}: expected finite real numbers with a positive sum, found something else")
    return kernel.astype(np.float64) / kernel.sum(dtype=np.float64)


def _read_mat(path: Path) -> NDArray:
    """The one 2-D numeric array of a .mat file; where there are several, the one under `kernel`."""
    arrays = {key: a for key, a in _mat_arrays(path).items() if a.ndim == 2 and a.dtype.kind in "biuf" and a.size > 1}
    if len(arrays) != 1 and "kernel" not in arrays:
        found = ", ".join(f"{key} {a.shape[0]}×{a.shape[1]}" for key, a in arrays.items()) or "none"
        raise InputError(f"{path}: expected one 2-D numeric array, or one under the key kernel, found {found}")
    return arrays["kernel"] if "kernel" in arrays else next(iter(arrays.values()))


def read_pca(path: Path) -> NDArray[np.float32]:
    """P from a .mat file, under the key `P`; (15, 225) for a network that is told 15 numbers of a 15×15 kernel."""
    pca = _mat_arrays(path).get("P")
    if pca is None or pca.shape != (PCA_DIM, KERNEL_SIZE**2) or pca.dtype.kind != "f":
        raise InputError(f"{path}: expected a real matrix P of 15×225, found {'none' if pca is None else pca.shape}")
    return pca.astype(np.float32)


def _mat_arrays(path: Path) -> dict[str, NDArray]:
    import scipy.io

    try:
        return {k: a for k, a in scipy.io.loadmat(path).items() if isinstance(a, np.ndarray)}
    except NotImplementedError:  # MATLAB 7.3 is HDF5
        return _mat_arrays_hdf5(path)
    except Exception as error:  # a foreign file can break SciPy's parser in many ways
        raise InputError(f"{path}: not a MATLAB file ({error})") from error


def _mat_arrays_hdf5(path: Path) -> dict[str, NDArray]:
    import h5py

    try:
        with h5py.File(path) as file:  # MATLAB's columns come as HDF5's rows
            return {key: np.asarray(item).T for key, item in file.items() if isinstance(item, h5py.Dataset)}
    except Exception as error:
        raise InputError(f"{path}: not a MATLAB file ({error})") from error


def _read_npy(path: Path) -> NDArray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:
        raise InputError(f"{path}: not an .npy file ({error})") from error


def _read_png(path: Path) -> NDArray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image if image.mode.startswith(("I", "F")) else image.convert("L"))
    except Exception as error:
        raise InputError(f"{path}: not a picture ({error})") from error


def write_mat(path: Path, arrays: dict[str, NDArray]) -> None:
    """A MATLAB 5 file with a fixed header, so that the same arrays give the same bytes on any day."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    path.write_bytes(MAT_HEADER + buffer.getvalue()[len(MAT_HEADER) :])


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
