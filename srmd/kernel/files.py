"""Reads kernel files (.mat, .npy, .png, .txt, .csv) and writes .mat.

A kernel that was read is square with an odd side, sums to 1 and has correlation orientation. If the number of rows or
columns is even, one row or column of zeros is added before the first, so that the centre is that of MATLAB's
`imfilter`. Then the shorter side is padded with zeros, equally on both ends, to the length of the longer one. This
module imports no torch, so that flags are checked before torch is imported.
"""

import io
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.base.matlab import describe_variables, read_mat
from srmd.base.npy import read_npy
from srmd.kernel.pca import is_pca

MAX_SIDE = 255  # pixels; a larger array is probably a photo, and blurring with it would take hours
MAX_KERNELS = 2**14  # in a file
MAX_VALUES = 2**26  # numbers in all kernels of a file, padded to squares
MAX_NAMED = 10  # variables in an error message
MAX_TEXT_BYTES = 2**22
MIN_SUM_RATIO = 1e-6  # of a kernel's sum to its sum of absolute values; below, the sum is 0 but for rounding errors
Kernels = list[NDArray] | NDArray  # arrays k×k, or a stack of them N×k×k
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # of R, G and B in grey (ITU-R BT.601)
MAT_HEADER = b"MATLAB 5.0 MAT-file, a blur kernel or P of SRMD".ljust(116)


def read_kernels(path: Path) -> list[NDArray[np.float64]]:
    """All kernels of a file, in the order of the file, each (k, k).

    A .mat or .npy file holds one array k×k, N×k×k or k×k×N; if N = k, N is the first axis in .npy and the last in .mat.
    A .mat may also hold a cell array of kernels. A .png, .txt or .csv file holds one kernel. Raises InputError,
    with the path in front, if the file can't be read, has no kernel or an invalid one.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: expected one of {', '.join(READERS)}, found {path.suffix or 'no suffix'}")
    check_is_file(path)
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: expected a file that can be read, found no permission")
    arrays = reader(path)
    if len(arrays) > MAX_KERNELS:
        raise InputError(f"{path}: expected at most {MAX_KERNELS} kernels, found {len(arrays)}")
    kernels, values = [], 0
    for i, array in enumerate(arrays):
        kernels.append(normalise_kernel(array, str(path) if len(arrays) == 1 else f"{path}[{i}]"))
        values += kernels[-1].size
        if values > MAX_VALUES:
            raise InputError(f"{path}: expected kernels with at most {MAX_VALUES} numbers as squares, found more")
    return kernels


def normalise_kernel(kernel: NDArray, name: str) -> NDArray[np.float64]:
    """An array as a kernel, (k, k), k odd, sum 1. Raises InputError, with `name` in front, if it is not a kernel."""
    if kernel.ndim != 2 or not 1 <= min(kernel.shape) <= max(kernel.shape) <= MAX_SIDE:
        shape = "×".join(map(str, kernel.shape)) or "no dimension"
        raise InputError(f"{name}: expected a kernel with sides of 1 to {MAX_SIDE}, found an array of {shape}")
    if kernel.dtype.kind not in "biuf" or not np.isfinite(kernel).all():
        raise InputError(f"{name}: expected finite real numbers, found something else")
    kernel = kernel.astype(np.float64)
    with np.errstate(over="ignore"):
        total, absolute = kernel.sum(), np.abs(kernel).sum()
    if not MIN_SUM_RATIO * absolute < total < np.inf:
        raise InputError(f"{name}: expected numbers with a finite, positive sum, found the sum {total:.2g}")
    return _odd_square(kernel / total)


def _odd_square(kernel: NDArray) -> NDArray:
    """The kernel padded with zeros to a square with an odd side, as the docstring of this module describes."""
    if kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2:
        return kernel
    height, width = (side + 1 - side % 2 for side in kernel.shape)  # odd
    side = max(height, width)
    bottom, right = (side + height) // 2, (side + width) // 2
    square = np.zeros((side, side), kernel.dtype)
    square[bottom - kernel.shape[0] : bottom, right - kernel.shape[1] : right] = kernel
    return square


def _read_mat(path: Path) -> Kernels:
    """The kernels of the variable `kernel` or `kernels`, or else of the only variable that holds kernels."""
    variables = read_mat(path)
    matrices = [name for name, value in variables.items() if is_pca(name, value)]
    others = {name: value for name, value in variables.items() if name not in matrices}
    candidates = {name: kernels for name, value in others.items() if len(kernels := _kernels_in(value))}
    names = [name for name in ("kernel", "kernels") if name in candidates] or list(candidates)
    if len(names) != 1:
        named = itertools.islice(candidates.items(), MAX_NAMED)
        found = ", ".join(_summary(name, kernels) for name, kernels in named)
        found = found or ("P, the PCA matrix" if matrices else describe_variables(variables))
        raise InputError(f"{path}: expected one variable with kernels, or one named kernel or kernels, found {found}")
    return candidates[names[0]]


def _summary(name: str, kernels: Kernels) -> str:
    height, width = kernels[0].shape
    return f"{name} ({len(kernels)} of {height}×{width})"


def _kernels_in(value: Any) -> Kernels:
    """The kernels in a MATLAB variable, a numeric array or a cell array of them; an empty list for other values."""
    if isinstance(value, list):
        cells = [_kernels_in(item) for item in value]
        return [kernels[0] for kernels in cells] if all(len(kernels) == 1 for kernels in cells) else []
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size < 2:
        return []
    if value.ndim == 3:
        return _split(value, count_is_last=True)
    return [value] if value.ndim == 2 else []


def _split(stack: NDArray, count_is_last: bool) -> NDArray:
    """A stack N×k×k or k×k×N as N×k×k; `count_is_last` decides if the shape fits both."""
    first_two_equal = stack.shape[0] == stack.shape[1]
    last_two_equal = stack.shape[1] == stack.shape[2]
    if first_two_equal != last_two_equal:
        count_is_last = first_two_equal
    return np.moveaxis(stack, -1, 0) if count_is_last else stack


def _read_npy(path: Path) -> Kernels:
    array = read_npy(path)
    if array.ndim == 4 and 1 in array.shape[:2]:  # N×1×k×k or 1×N×k×k, as a batch in PyTorch
        array = array.reshape(-1, *array.shape[2:])
    if array.ndim == 3:
        return _split(array, count_is_last=False)
    return [array]


def _read_png(path: Path) -> list[NDArray]:
    from srmd.pictures.files import read_picture, upright_size

    height, width = upright_size(path)
    if max(height, width) > MAX_SIDE:
        raise InputError(
            f"{path}: expected a kernel with sides of 1 to {MAX_SIDE}, found a picture of {width}×{height}"
        )
    return [read_picture(path).pixels @ np.array(GREY_WEIGHTS)]


def _read_text(path: Path) -> list[NDArray]:
    """The kernel in a text file, a row per line.

    Commas, semicolons or white space separate the numbers; # starts a comment.
    """
    if (size := path.stat().st_size) > MAX_TEXT_BYTES:
        raise InputError(f"{path}: expected a text of up to {MAX_TEXT_BYTES} bytes, found {size}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected numbers as text, found bytes that are not UTF-8") from error
    lines = [line.split("#")[0].strip() for line in lines]
    text = "".join(lines)
    separator = next((mark for mark in ";," if mark in text), None)  # None: white space
    rows = []
    for number, line in enumerate(lines, 1):
        if line:
            words = line.rstrip(separator).split(separator)
            rows.append(_numbers(words, f"{path}, line {number}"))
            if len(rows[-1]) != len(rows[0]):
                found = f"{len(rows[-1])} after lines of {len(rows[0])}"
                raise InputError(f"{path}, line {number}: expected rows of one length, found {found}")
    if not rows:
        raise InputError(f"{path}: expected numbers, found none")
    return [np.array(rows)]


def _numbers(words: list[str], location: str) -> list[float]:
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError as error:
            raise InputError(f"{location}: expected numbers, found {word.strip()[:40]!r}") from error
    return numbers


READERS = {".mat": _read_mat, ".npy": _read_npy, ".png": _read_png, ".txt": _read_text, ".csv": _read_text}
KERNEL_SUFFIXES = tuple(READERS)


def is_kernel_output(path: Path) -> bool:
    """Whether a path names a file that kernels can be written to, a picture or a .mat."""
    return path.suffix.lower() in (".png", ".mat") and not path.is_dir()


def write_kernels(path: Path, kernels: list[NDArray]) -> None:
    """Writes a .mat file with one kernel as the variable `kernel`, or several as the cell array `kernels`."""
    cells = np.empty(len(kernels), object)
    cells[:] = kernels
    write_mat(path, {"kernel": kernels[0]} if len(kernels) == 1 else {"kernels": cells})


def write_mat(path: Path, arrays: dict[str, NDArray]) -> None:
    """Writes a MATLAB 5 file; its header lacks SciPy's date, so that equal arrays give equal files."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    path.write_bytes(MAT_HEADER + buffer.getvalue()[len(MAT_HEADER) :])
