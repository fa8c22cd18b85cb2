"""The words by which kernels are asked for."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srmd.base.errors import InputError, prefix_errors
from srmd.kernel.families import KERNEL_SIZE, delta, gaussian
from srmd.kernel.files import KERNEL_SUFFIXES, normalise_kernel, read_kernels

FORMS = "delta, gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file"


def parse_kernels(spec: str, size: int = KERNEL_SIZE) -> list[NDArray]:
    """The kernel that `delta`, `gaussian:W` or `gaussian:W1,W2,ANGLE` means, or all in the file of that path.

    Gaussians are cut to size×size.
    """
    if spec == "delta":
        return [delta()]
    if spec.startswith("gaussian:"):
        return [_parse_gaussian(spec, size)]
    if not spec.lower().endswith(KERNEL_SUFFIXES):
        raise InputError(f"expected {FORMS}, found {spec!r}")
    return read_kernels(Path(spec))


def read_kernel(path: str | Path, index: int | None = None) -> NDArray:
    """The kernel in a file, (k, k), k odd, sum 1; of several the one of that index, counted from 0.

    Reads .mat, .npy, .png, .txt and .csv. Raises InputError for a file that holds none, or several and no index.
    """
    with prefix_errors("path"):
        kernels = read_kernels(Path(path))
    if index is None and len(kernels) > 1:
        raise InputError(f"expected one from 0 to {len(kernels) - 1}, for {path} holds several, found none", "index")
    if not 0 <= (index or 0) < len(kernels):
        raise InputError(f"{path} holds {len(kernels)} kernels, 0 to {len(kernels) - 1}; found {index}", "index")
    return kernels[index or 0]


def to_kernel(kernel: str | Path | ArrayLike, size: int = KERNEL_SIZE) -> NDArray:
    """One kernel, (k, k), by the words of `parse_kernels`, the path of a file, or as an array; InputError else."""
    with prefix_errors("kernel"):
        if not isinstance(kernel, str | Path):
            return normalise_kernel(_as_array(kernel), "the array")
        kernels = parse_kernels(str(kernel), size)
        if len(kernels) > 1:
            raise InputError(f"expected one, found {len(kernels)} in {kernel}: read_kernel takes one of them")
        return kernels[0]


def _as_array(kernel: Any) -> NDArray:
    if hasattr(kernel, "detach"):  # a tensor
        kernel = kernel.detach().cpu().double().numpy()
    try:
        return np.asarray(kernel)
    except ValueError as error:
        raise InputError("expected rows of one length, found others") from error


def checked_gaussian(
    width1: float, width2: float | None = None, angle: float = 0.0, size: int = KERNEL_SIZE
) -> NDArray:
    """A Gaussian kernel, (size, size), sum 1: widths are standard deviations in HR pixels, the angle is in degrees.

    Its long axis, of `width1`, lies along (cos angle, sin angle) in (column, row), rows growing downwards. Raises
    InputError for what is no Gaussian.
    """
    width2 = width1 if width2 is None else width2
    if not (width1 >= width2 > 0 and math.isfinite(width1) and math.isfinite(angle)):
        found = f"{width1!r}, {width2!r} and {angle!r} degrees"
        raise InputError(f"expected finite widths, the first no smaller than the second, found {found}", "width1")
    if size < 1 or size % 2 == 0:
        raise InputError(f"expected an odd number, found {size!r}", "size")
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
