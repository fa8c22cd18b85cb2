"""Reads and checks the index of a pack: everything but its pixels."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.base.hdf5 import member
from srmd.base.isolated import ReaderError, run_isolated
from srmd.base.kinds import PACK, describe_content
from srmd.packs.layout import MAX_SIDE, PACK_FORMAT, PACK_VERSION, PICTURE_FIELDS, PackIndex

if TYPE_CHECKING:
    import h5py


Result = TypeVar("Result")


def read_hdf5(read: Callable[..., Result], path: Path, *arguments: object) -> Result:
    """The result of `read(file, *arguments)` for an HDF5 file; a file that crashes HDF5 is an error like others.

    Raises InputError if the file is missing, damaged or no HDF5 file, and ReaderError if `read` fails.
    """
    import h5py  # noqa: F401 - before the fork in `run_isolated`, so that it is imported once

    check_is_file(path, "a file of packed pictures (.h5)")
    return run_isolated(_open_and_read, read, path, arguments)


def _open_and_read(read: Callable[..., Result], path: Path, arguments: tuple) -> Result:
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        kind = describe_content(path)
        found = "a damaged HDF5 file or another format" if kind in (None, PACK) else kind
        raise InputError(f"{path}: expected a pack (.h5), found {found}") from error
    with file:
        return read(file, *arguments)


def pack_version(path: Path) -> int:
    """Return the version of a pack. Raises InputError for any other file."""
    try:
        return read_hdf5(_version, path, path)
    except ReaderError as error:
        raise InputError(f"{path}: expected a pack (.h5), found a damaged HDF5 file ({error})") from error


def _version(file: "h5py.File", path: Path) -> int:
    attributes = [str(file.attrs.get(name)) for name in ("format", "version")]
    if attributes[0] != PACK_FORMAT or not re.fullmatch(r"[0-9]{1,4}", attributes[1]):
        raise InputError(f"{path}: expected a pack of {PACK_FORMAT}, found another HDF5 file")
    return int(attributes[1])


def read_index(path: Path) -> tuple[PackIndex, int]:
    """Return a pack's index, and the position of its first pixel in the file.

    Raises InputError if the file is no pack of this version, or if its index is damaged.
    """
    try:
        return read_hdf5(_read_index, path, path)
    except ReaderError as error:
        raise InputError(f"{path}: expected the index of a pack, found a damaged one ({error})") from error


def _read_index(file: "h5py.File", path: Path) -> tuple[PackIndex, int]:
    if (version := _version(file, path)) != PACK_VERSION:
        raise InputError(f"{path}: expected a pack of version {PACK_VERSION}, found version {version}")
    index = PackIndex(
        _array(file, "pictures", PICTURE_FIELDS),
        _array(file, "names", np.dtype("S")),
        _array(file, "lossy", np.dtype(bool)),
        _array(file, "checksums", np.dtype("<u4")),
    )
    pixels = _contiguous(file, "pixels", np.dtype(np.uint8))
    start = pixels.id.get_offset()
    if start + len(pixels) > path.stat().st_size:
        raise ValueError("pixels that are cut short")
    _check(index, len(pixels), str(file.attrs["identity"]))
    return index, start


def _contiguous(file: "h5py.File", name: str, dtype: np.dtype) -> "h5py.Dataset":
    """A dataset of one axis that lies in the file as it is: a small file cannot claim more than it holds.

    The values of a dataset in another file have no offset in this one.
    """
    dataset = member(file, name)
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
