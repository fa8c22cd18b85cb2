"""Reads packs of version 1, which had one dataset (H, W, 3) for each picture, so that they can be packed again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from srmd.base.errors import InputError
from srmd.packs.index import open_hdf5
from srmd.packs.writer import EncodedFile, EncodedPicture


def read_version_1(path: Path) -> Iterator[EncodedFile]:
    """Yield the pictures of a pack of version 1, which counts as lossless. Raises InputError if it is damaged."""
    with open_hdf5(path) as file:
        try:
            group = file["pictures"]
            for key in sorted(group):
                dataset = group[key]
                if dataset.dtype != np.uint8 or dataset.shape[2:] != (3,) or not dataset.size:
                    raise ValueError(f"{key}: {dataset.dtype}, {dataset.shape}")
                picture = EncodedPicture.from_pixels(dataset[:])
                yield EncodedFile(str(dataset.attrs["name"]), False, [picture])
        except Exception as error:  # a damaged file can raise any exception in h5py
            raise InputError(f"{path}: expected pictures, (height, width, 3) of 8 bits, found {error}") from error
