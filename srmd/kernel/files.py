"""Files of kernels, in whatever form people have them, in and out. No torch here; what a format needs comes with it.

A kernel that was read is square, of odd side, of sum 1, in correlation orientation, its centre in the middle. A side
that is even gets a row or column of zeros in front, so that MATLAB's `imfilter` would centre it just so; then zeros
all around make the shorter side as long as the longer one.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.matlab import read_mat

MAX_SIDE = 255  # pixels: what is larger is a photo that was taken for a kernel, and would blur for hours
MIN_SHARE = 1e-6  # of the sum in the sum of absolute values: below lies what rounding leaves of a sum of 0
LUMA = (0.299, 0.587, 0.114)  # grey of RGB, as picture programs have it
MAT_HEADER = b"MATLAB 5.0 MAT-file, a blur kernel or P of SRMD".ljust(116)


def read_kernels(path: Path) -> list[NDArray[np.float64]]:
    """All kernels of a file, in its order.

    A .mat or .npy holds one (k×k) or several (N×k×k or k×k×N; where N is k too, NumPy's files have N first, MATLAB's
    last), or a .mat a cell array of them; a .png, .txt or .csv holds one. InputError, naming the file, for all else.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: expected one of {', '.join(READERS)}, found {path.suffix or 'no suffix'}")
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise InputError(f"{path}: expected a file, found {'a folder' if os.path.isdir(path) else 'no such file'}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: expected a file that can be read, found no permission")
    found = reader(path)
    names = [str(path)] if len(found) == 1 else [f"{path}[{i}]" for i in range(len(found))]
    return [normalise_kernel(kernel, name) for kernel, name in zip(found, names, strict=True)]


def normalise_kernel(kernel: NDArray, name: str) -> NDArray[np.float64]:
    """A kernel as it is computed with: odd square, sum 1; InputError, which begins with the name, for anything else."""
    if kernel.ndim != 2 or not 1 <= min(kernel.shape) <= max(kernel.shape) <= MAX_SIDE:
        shape = "×".join(map(str, kernel.shape)) or "no dimension"
        raise InputError(f"{name}: expected a kernel with sides of 1 to {MAX_SIDE}, found an array of {shape}")
    if kernel.dtype.kind not in "biuf" or not np.isfinite(kernel).all():
        raise InputError(f"{name}: expected finite real numbers, found something else")
    kernel = kernel.astype(np.float64)
    with np.errstate(over="ignore"):
        total, absolute = kernel.sum(), np.abs(kernel).sum()
    if not MIN_SHARE * absolute < total < np.inf:
        raise InputError(f"{name}: expected numbers with a finite, positive sum, found the sum {total:.2g}")
    return _odd_square(kernel / total)


def _odd_square(kernel: NDArray) -> NDArray:
    kernel = np.pad(kernel, [(1 - side % 2, 0) for side in kernel.shape])
    return np.pad(kernel, [((max(kernel.shape) - side) // 2,) * 2 for side in kernel.shape])


def _read_mat(path: Path) -> list[NDArray]:
    """The kernels of the one variable that holds any; where several do, of the one named kernel or kernels."""
    held = {name: kernels for name, value in read_mat(path).items() if (kernels := _kernels_in(value))}
    chosen = [name for name in ("kernel", "kernels") if name in held] or list(held)
    if len(chosen) != 1:
        found = ", ".join(f"{name} ({len(a)} of {a[0].shape[0]}×{a[0].shape[1]})" for name, a in held.items()) or "none"
        raise InputError(f"{path}: expected one variable with kernels, or one named kernel or kernels, found {found}")
    return held[chosen[0]]


def _kernels_in(value: Any) -> list[NDArray]:
    """What of a MATLAB variable can be a kernel or several: a numeric array, or a cell array of them."""
    if isinstance(value, list):
        parts = [_kernels_in(item) for item in value]
        return [part[0] for part in parts] if all(len(part) == 1 for part in parts) else []
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size < 2:
        return []
    return [value] if value.ndim == 2 else _split(value, last=True) if value.ndim == 3 else []


def _split(arrays: NDArray, last: bool) -> list[NDArray]:
    """N×k×k or k×k×N to N arrays; N comes `last` where the lengths don't tell."""
    rows_columns_n, n_rows_columns = arrays.shape[0] == arrays.shape[1], arrays.shape[1] == arrays.shape[2]
    if rows_columns_n != n_rows_columns:
        last = rows_columns_n
    return list(np.moveaxis(arrays, -1, 0) if last else arrays)


def _read_npy(path: Path) -> list[NDArray]:
    try:
        array = np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:
        raise InputError(f"{path}: not an .npy file ({error})") from error
    if array.ndim == 4 and 1 in array.shape[:2]:  # N×1×k×k or 1×N×k×k, as PyTorch has batches
        array = array.reshape(-1, *array.shape[2:])
    return _split(array, last=False) if array.ndim == 3 and array.size else [array]


def _read_png(path: Path) -> list[NDArray]:
    from srmd.pictures.files import read_picture

    return [read_picture(path).pixels @ np.array(LUMA)]


def _read_text(path: Path) -> list[NDArray]:
    """A row a line, its numbers between commas, semicolons or white space; what follows # is no number."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected numbers as text, found bytes that are none") from error
    lines = [line.split("#")[0].strip() for line in lines]
    text = "".join(lines)
    separator = next((mark for mark in ";," if mark in text), None)
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


def _numbers(words: list[str], place: str) -> list[float]:
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError as error:
            raise InputError(f"{place}: expected numbers, found {word.strip()[:40]!r}") from error
    return numbers


READERS = {".mat": _read_mat, ".npy": _read_npy, ".png": _read_png, ".txt": _read_text, ".csv": _read_text}
KERNEL_SUFFIXES = tuple(READERS)


def write_kernels(path: Path, kernels: list[NDArray]) -> None:
    """A .mat with one kernel under `kernel`, or several as the cells of `kernels`."""
    cells = np.empty(len(kernels), object)
    cells[:] = kernels
    write_mat(path, {"kernel": kernels[0]} if len(kernels) == 1 else {"kernels": cells})


def write_mat(path: Path, arrays: dict[str, NDArray]) -> None:
    """A MATLAB 5 file with a fixed header, so that the same arrays give the same bytes on any day."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    path.write_bytes(MAT_HEADER + buffer.getvalue()[len(MAT_HEADER) :])
