"""The words by which kernels are asked for."""

import math
from pathlib import Path

from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.kernel.families import KERNEL_SIZE, delta, gaussian
from srmd.kernel.files import SUFFIXES, read_kernels

FORMS = "delta, gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file"


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
