"""Reads .npy files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import check_is_file

NPY_START = b"\x93NUMPY"


def read_npy(path: Path) -> NDArray:
    """The array of real numbers in an .npy file. Raises InputError for any other file."""
    check_is_file(path)
    with path.open("rb") as file:
        start = file.read(len(NPY_START))
    if start != NPY_START:
        raise InputError(f"{path}: not an .npy file (it starts with {start!r})")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # nothing is read before the file has all values
    except Exception as error:  # a damaged header can raise any exception
        raise InputError(f"{path}: not an .npy file ({error!s:.200})") from error
    if array.dtype.kind not in "biuf" or not array.size:
        raise InputError(f"{path}: expected an array of real numbers, found {array.dtype} {array.shape}")
    return np.array(array)
