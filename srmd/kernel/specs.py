"""Kernels from specifications: `delta`, `gaussian:W`, `gaussian:W1,W2,ANGLE`, the path of a file, or an array."""

import math
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srmd.base.errors import InputError, prefix_errors
from srmd.base.numbers import to_integer, to_real
from srmd.kernel.families import KERNEL_SIZE, delta, gaussian
from srmd.kernel.files import KERNEL_SUFFIXES, MAX_SIDE, normalise_kernel, read_kernels

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


def mean_width(spec: str) -> float:
    """The geometric mean of the widths of a Gaussian's specification, in HR pixels; 0 for `delta`."""
    if spec == "delta":
        return 0.0
    widths = [float(width) for width in spec.removeprefix("gaussian:").split(",")[:2]]
    return math.sqrt(widths[0] * widths[-1])


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
    number = 0 if index is None else to_integer(index)
    if number is None or not 0 <= number < len(kernels):
        raise InputError(f"{path} holds {len(kernels)} kernels, 0 to {len(kernels) - 1}; found {index!r}", "index")
    return kernels[number]


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
    `angle` is in degrees. Raises InputError if a width or the angle is invalid, or if `size` is not an odd number of at
    most 255.
    """
    width2 = width1 if width2 is None else width2
    numbers = [to_real(value) for value in (width1, width2, angle)]
    are_finite = all(number is not None and math.isfinite(number) for number in numbers)
    if not (are_finite and numbers[0] >= numbers[1] > 0):
        found = f"{width1!r}, {width2!r} and {angle!r} degrees"
        raise InputError(f"expected finite widths and angle, width1 ≥ width2 > 0, found {found}", "width1")
    if to_integer(size) not in range(1, MAX_SIDE + 1, 2):
        raise InputError(f"expected an odd whole number from 1 to {MAX_SIDE}, found {size!r}", "size")
    return gaussian(*numbers, size=to_integer(size))


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
