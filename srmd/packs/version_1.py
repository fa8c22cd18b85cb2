"""Reads packs of version 1, which had one dataset (H, W, 3) for each picture, so that they can be packed again."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.hdf5 import check_stored, member
from srmd.base.isolated import MAX_RESULT, ReaderError
from srmd.packs.index import read_hdf5
from srmd.packs.writer import EncodedFile, EncodedPicture

if TYPE_CHECKING:
    import h5py


def read_version_1(path: Path) -> Iterator[EncodedFile]:
    """Yield the pictures of a pack of version 1, which counts as lossless. Raises InputError if it is damaged."""
    try:
        for key in read_hdf5(_keys, path):
            name, pixels = read_hdf5(_picture, path, key)
            yield EncodedFile(name, False, [EncodedPicture.from_pixels(pixels)])
    except ReaderError as error:
        raise InputError(f"{path}: expected pictures, (height, width, 3) of 8 bits, found {error}") from error


def _keys(file: "h5py.File") -> list[str]:
    return sorted(member(file, "pictures"))


def _picture(file: "h5py.File", key: str) -> tuple[str, NDArray[np.uint8]]:
    """Name and pixels of a picture; each is read in a process of its own, so that not all of them are in memory."""
    dataset = member(member(file, "pictures"), key)
    check_stored(dataset)
    if dataset.dtype != np.uint8 or dataset.shape[2:] != (3,) or not 0 < dataset.nbytes < MAX_RESULT:
        raise ValueError(f"{key}: {dataset.dtype}, {dataset.shape}")
    return str(dataset.attrs["name"]), dataset[:]
