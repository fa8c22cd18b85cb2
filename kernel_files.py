"""All kernels of a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errors import InputError
from kernel import _checked, _mat_arrays, _read_npy, _read_png

SUFFIXES = (".mat", ".npy", ".png")


def read_kernels(path: Path) -> list[NDArray]:
    """The kernels of a .mat (k×k or k×k×n under any keys), .npy (k×k or n×k×k) or .png file, each with sum 1.

    InputError where one is not a square of odd side with a positive sum.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a {', '.join(SUFFIXES)} file, found another")
    if suffix == ".mat":
        arrays = [a for a in _mat_arrays(path).values() if a.ndim in (2, 3) and a.dtype.kind in "biuf" and a.size > 1]
        stacks = [np.moveaxis(a, -1, 0) if a.ndim == 3 else a[None] for a in arrays]
    else:
        array = _read_npy(path) if suffix == ".npy" else _read_png(path)
        stacks = [array if array.ndim == 3 else array[None]]
    kernels = [_checked(kernel, str(path)) for stack in stacks for kernel in stack]
    if not kernels:
        raise InputError(f"{path}: expected kernels, found no numeric array")
    return kernels
