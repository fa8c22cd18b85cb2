"""Kernels from specifications: `delta`, `gaussian:W`, `gaussian:W1,W2,ANGLE`, the path of a file, or an array."""

import math
import os
import reprlib
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srmd.base.errors import InputError, prefix_errors
from srmd.kernel.families import KERNEL_SIZE, delta, gaussian
from srmd.kernel.files import KERNEL_SUFFIXES, normalise_kernel, read_kernels

SPEC_FORMS = "delta, gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file"


def parse_kernels(spec: str, size: int = KERNEL_SIZE) -> list[NDArray]:
    """The kernel of `delta`, `gaussian:W` or `gaussian:W1,W2,ANGLE`, or all kernels of the file `spec`; each (k, k).

    W, W1 and W2 are widths in HR pixels, ANGLE is in degrees. Gaussians are size×size, delta is 15×15. Raises
    InputError if the text has another form, or if the file has no valid kernels.
    """
    if spec == "delta":
        return [delta()]
    if spec.startswith("gaussian:"):
        return [_parse_gaussian(spec, size)]
    if not spec.lower().endswith(KERNEL_SUFFIXES):
        raise InputError(f"expected {SPEC_FORMS}, found {spec!r}")
    return read_kernels(Path(spec))


def read_kernel(path: str | Path, index: int | None = None) -> NDArray:
    """A kernel of a .mat, .npy, .png, .txt or .csv file, (k, k), k odd, sum 1.

    `index`, counted from 0, selects one of several kernels. Raises InputError if the file has no valid kernel, no
    kernel of this index, or several kernels and `index` is None.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"expected the path of a kernel file, found {type(path).__name__}", "path")
    with prefix_errors("path"):
        kernels = read_kernels(Path(path))
    if index is None and len(kernels) > 1:
        raise InputError(f"expected 0 to {len(kernels) - 1}, because {path} holds several kernels, found none", "index")
    index = index or 0
    if not 0 <= index < len(kernels):
        raise InputError(f"{path} holds {len(kernels)} kernels, 0 to {len(kernels) - 1}; found {index}", "index")
    return kernels[index]


def to_kernel(kernel: str | Path | ArrayLike, size: int = KERNEL_SIZE) -> NDArray:
    """One kernel, (k, k), from a specification of `parse_kernels`, a path, an array or a tensor.

    Raises InputError for anything else, and for a file with several kernels.
    """
    with prefix_errors("kernel"):
        if not isinstance(kernel, str | Path):
            array = _as_array(kernel)
            if array.ndim == 0:
                raise InputError(f"expected an array k×k, {SPEC_FORMS}, found {reprlib.repr(kernel)}")
            return normalise_kernel(array, "the array")
        kernels = parse_kernels(str(kernel), size)
        if len(kernels) > 1:
            raise InputError(f"expected one kernel, found {len(kernels)} in {kernel}: read_kernel selects one of them")
        return kernels[0]


def _as_array(kernel: Any) -> NDArray:
    if hasattr(kernel, "detach"):  # a tensor
        kernel = kernel.detach().cpu().double().numpy()
    try:
        return np.asarray(kernel)
    except ValueError as error:
        raise InputError("expected rows of one length, found different lengths") from error


def checked_gaussian(
    width1: float, width2: float | None = None, angle: float = 0.0, size: int = KERNEL_SIZE
) -> NDArray:
    """A Gaussian kernel, (size, size), sum 1.

    Widths are standard deviations in HR pixels, width1 ≥ width2 > 0; without `width2` the kernel is isotropic. The
    long axis, that of `width1`, has the direction (cos angle, sin angle) in (column, row), rows growing downwards;
    `angle` is in degrees. Raises InputError if a width or the angle is invalid, or if `size` is not odd.
    """
    width2 = width1 if width2 is None else width2
    are_numbers = all(isinstance(number, Real) and math.isfinite(number) for number in (width1, width2, angle))
    if not (are_numbers and width1 >= width2 > 0):
        found = f"{width1!r}, {width2!r} and {angle!r} degrees"
        raise InputError(f"expected finite widths and angle, width1 ≥ width2 > 0, found {found}", "width1")
    if not isinstance(size, Integral) or size < 1 or size % 2 == 0:
        raise InputError(f"expected an odd whole number, found {size!r}", "size")
    return gaussian(width1, width2, angle, size)


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
