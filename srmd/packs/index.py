"""Reads and checks the index of a pack: everything but its pixels."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.packs.layout import MAX_SIDE, PACK_FORMAT, PACK_VERSION, PICTURE_FIELDS, PackIndex

if TYPE_CHECKING:
    import h5py


def open_hdf5(path: Path) -> "h5py.File":
    """Open an HDF5 file for reading; raises InputError if it is missing, damaged or no HDF5 file."""
    import h5py

    check_is_file(path, "a file of packed pictures (.h5)")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(f"{path}: expected a pack (.h5), found a damaged HDF5 file or another format") from error


def pack_version(path: Path) -> int:
    """Return the version of a pack. Raises InputError for any other file."""
    with open_hdf5(path) as file:
        attributes = [str(file.attrs.get(name)) for name in ("format", "version")]
    if attributes[0] != PACK_FORMAT or not attributes[1].isdigit():
        raise InputError(f"{path}: expected a pack of {PACK_FORMAT}, found another HDF5 file")
    return int(attributes[1])


def read_index(path: Path) -> tuple[PackIndex, int]:
    """Return a pack's index, and the position of its first pixel in the file.

    Raises InputError if the file is no pack of this version, or if its index is damaged.
    """
    version = pack_version(path)
    if version != PACK_VERSION:
        raise InputError(f"{path}: expected a pack of version {PACK_VERSION}, found version {version}")
    with open_hdf5(path) as file:
        try:
            index = PackIndex(
                _array(file, "pictures", PICTURE_FIELDS),
                _array(file, "names", np.dtype("S")),
                _array(file, "lossy", np.dtype(bool)),
                _array(file, "checksums", np.dtype("<u4")),
            )
            pixels = _contiguous(file, "pixels", np.dtype(np.uint8))
            _check(index, len(pixels), str(file.attrs["identity"]))
            return index, pixels.id.get_offset()
        except Exception as error:  # a damaged file can raise any exception in h5py
            raise InputError(f"{path}: expected the index of a pack, found a damaged one ({error})") from error


def _contiguous(file: "h5py.File", name: str, dtype: np.dtype) -> "h5py.Dataset":
    """A dataset of one axis that lies in the file as it is: a small file cannot claim more than it holds."""
    dataset = file[name]
    is_contiguous = dataset.id.get_offset() is not None and dataset.id.get_storage_size() == dataset.nbytes
    has_dtype = dataset.dtype.kind == "S" if dtype.kind == "S" else dataset.dtype == dtype  # bytes have any length
    if not is_contiguous or dataset.ndim != 1 or not has_dtype:
        raise ValueError(f"{name}: {dataset.dtype}, {dataset.shape}")
    return dataset


def _array(file: "h5py.File", name: str, dtype: np.dtype) -> NDArray:
    return _contiguous(file, name, dtype)[:]


def _check(index: PackIndex, length: int, identity: str) -> None:
    """Raise ValueError if a pack's index disagrees with itself, or with the `length` of its pixels."""
    if identity != index.identity:
        raise ValueError("wrong checksum")
    height, width, file = (index.pictures[name] for name in ("height", "width", "file"))
    if not len(file) or min(height.min(), width.min()) < 1 or max(height.max(), width.max()) > MAX_SIDE:
        raise ValueError("no pictures, or pictures without pixels")
    if index.byte_counts().astype(float).sum() > length or index.tile_counts().sum() != len(index.checksums):
        raise ValueError("pictures that do not fit the pixels")
    if (np.diff(file.astype(int)) < 0).any() or file.max() >= len(index.names) or len(index.names) != len(index.lossy):
        raise ValueError("pictures of unknown files")
