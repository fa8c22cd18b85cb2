"""Reads MATLAB 7.3 files, which are HDF5 files.

HDF5 metadata can name other files (external storage, external links, virtual datasets), state arrays that the file does
not store, and refer to one cell from many others. All of these are refused. HDF5 crashes on some damaged files, so that
`srmd.base.isolated` should run this reader.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srmd.base.hdf5 import check_stored, member

if TYPE_CHECKING:
    import h5py

MAX_BYTES = 2**28  # of all arrays
MAX_ITEMS = 2**14  # arrays, cells and structs
MAX_DEPTH = 32  # of structs and cells inside others
MAX_AXES = 32  # of an array


def read_hdf5(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB 7.3 file by name. Raises ValueError, and any other exception of h5py."""
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        return _Reader(file).members(file, depth=0)


@dataclass
class _Reader:
    """Reads items of a file, and counts them and their bytes."""

    file: "h5py.File"
    addresses: set[int] = field(default_factory=set, init=False)  # of the items read so far
    bytes: int = field(default=0, init=False)

    def members(self, group: "h5py.Group", depth: int) -> dict[str, Any]:
        """The members of a group; names with # are MATLAB's own."""
        return {name: self.value(member(group, name), depth + 1) for name in group if not name.startswith("#")}

    def value(self, item: "h5py.Group | h5py.Dataset", depth: int) -> Any:
        """The value of a group (a struct) or dataset. A dataset of references is a cell array.

        The axes of arrays are stored in reverse order.
        """
        import h5py

        if isinstance(item, h5py.Dataset) and item.attrs.get("MATLAB_empty"):  # one may serve several cells
            self._count_bytes(item)
            return _empty_value(item, item.attrs.get("MATLAB_class", b""))
        self._count(item, depth)
        if isinstance(item, h5py.Group):
            return self.members(item, depth)
        matlab_class = item.attrs.get("MATLAB_class", b"")
        if item.dtype == h5py.ref_dtype:
            return [self.value(self.file[reference], depth + 1) for reference in item[()].ravel()]
        if item.dtype.hasobject:
            raise ValueError(f"{item.name}: values of type {item.dtype}")
        if matlab_class == b"char":
            return "".join(map(chr, item[()].ravel()))
        return item[()].T

    def _count(self, item: "h5py.Group | h5py.Dataset", depth: int) -> None:
        """Raises ValueError if an item exceeds the limits, or was read before: it would then be part of two others."""
        import h5py

        address = h5py.h5o.get_info(item.id).addr
        if address in self.addresses:
            raise ValueError(f"{item.name}: a cell that is shared by others")
        self.addresses.add(address)
        if len(self.addresses) > MAX_ITEMS or depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_ITEMS} cells and structs, or {MAX_DEPTH} inside of each other")
        if isinstance(item, h5py.Dataset):
            self._count_bytes(item)

    def _count_bytes(self, dataset: "h5py.Dataset") -> None:
        check_stored(dataset)
        self.bytes += dataset.nbytes + 1
        if self.bytes > MAX_BYTES:
            raise ValueError(f"arrays of more than {MAX_BYTES / 1e6:.0f} MB")


def _empty_value(item: "h5py.Dataset", matlab_class: bytes) -> Any:
    """The value of an array without elements, whose dataset holds its shape."""
    shape = [int(side) for side in item[()].ravel()] if item.size <= MAX_AXES else []
    if math.prod(shape) or min(shape, default=0) < 0:
        raise ValueError(f"{item.name}: an empty array of {shape}")
    return {b"cell": [], b"char": "", b"struct": {}}.get(matlab_class, np.zeros(shape))
