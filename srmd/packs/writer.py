"""Writes packs: HDF5 files that are written without the HDF5 library, except for their metadata.

HDF5 1.14 and 2.0 crash when a disk is full. Here HDF5 writes to memory only, and a full disk is an ordinary OSError.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from srmd.packs.layout import PACK_FORMAT, PACK_VERSION, PICTURE_FIELDS, PackIndex, encode

# Where the pixels begin in the file. HDF5 puts the first allocation of this size or more there; its metadata of the
# file's beginning takes much less. So a pack has at least as many bytes of pixels, the last of which may be unused.
PIXELS_START = 2**16
NAME_BYTES = 1024  # maximum length of a name; longer ones are cut


class EncodedPicture(NamedTuple):
    """A picture as it is stored: one version of a file."""

    relative_size: float  # 1, or less for a smaller version
    height: int
    width: int
    pixels: NDArray[np.uint8]  # from `encode`
    checksums: NDArray[np.uint32]

    @classmethod
    def from_pixels(cls, pixels: NDArray[np.uint8], relative_size: float = 1.0) -> Self:
        """Encode pixels (H, W, 3)."""
        return cls(relative_size, *pixels.shape[:2], *encode(pixels))


@dataclass(frozen=True)
class EncodedFile:
    """The pictures that were made from one file, the largest one first."""

    name: str
    lossy: bool
    pictures: list[EncodedPicture]


def write_pack(path: Path, files: Iterable[EncodedFile]) -> None:
    """Write a pack. Raises OSError, for example if the disk is full."""
    with path.open("wb") as file:
        file.write(bytes(PIXELS_START))
        index = _write_pixels(file, files)
        if index.pictures.size:
            _write_metadata(file, index)


def _write_pixels(file: BinaryIO, files: Iterable[EncodedFile]) -> PackIndex:
    rows, names, lossy, checksums = [], [], [], []
    for number, source in enumerate(files):
        names.append(source.name.encode(errors="backslashreplace")[:NAME_BYTES])
        lossy.append(source.lossy)
        for picture in source.pictures:
            rows.append((picture.height, picture.width, number, picture.relative_size))
            checksums.append(picture.checksums)
            file.write(picture.pixels)
    return PackIndex(
        np.array(rows, PICTURE_FIELDS),
        np.array(names, np.bytes_),
        np.array(lossy, np.bool_),
        np.concatenate(checksums) if checksums else np.empty(0, "<u4"),
    )


def _write_metadata(file: BinaryIO, index: PackIndex) -> None:
    """Write everything but the pixels, which are in the file already, in front of them and behind them."""
    import h5py

    length = max(int(index.byte_counts().sum()), PIXELS_START)
    around = _AroundPixels(PIXELS_START, PIXELS_START + length)
    # Metadata of HDF5 1.10 and later has checksums.
    options = {"alignment_threshold": PIXELS_START, "alignment_interval": PIXELS_START, "libver": ("v110", "v110")}
    with h5py.File(around, "w", **options) as pack:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.CONTIGUOUS)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # the space is reserved now
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # and nothing is written to it
        layout.set_obj_track_times(False)  # equal pictures give equal files
        space = h5py.h5s.create_simple((length,))
        pixels = h5py.h5d.create(pack.id, b"pixels", h5py.h5t.NATIVE_UINT8, space, layout)
        if pixels.get_offset() != PIXELS_START:
            raise RuntimeError(f"expected pixels at byte {PIXELS_START}, HDF5 put them at {pixels.get_offset()}")
        for field in fields(index):
            pack[field.name] = getattr(index, field.name)
        pack.attrs.update(format=PACK_FORMAT, version=PACK_VERSION, identity=index.identity)
    file.seek(0)
    file.write(around.before)
    file.seek(PIXELS_START + length)
    file.write(around.after.getvalue())
    file.truncate(around.size)


class _AroundPixels(io.RawIOBase):
    """A file in memory for HDF5, without the bytes from `start` to `end`, which HDF5 neither reads nor writes."""

    def __init__(self, start: int, end: int):
        self.before, self.after, self._end = bytearray(start), io.BytesIO(), end
        self._position = self.size = 0

    def seek(self, offset: int, origin: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        self._position = starts[origin] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, target: memoryview) -> int:
        if self._position < len(self.before):
            data = self.before[self._position : self._position + len(target)]
        else:
            self.after.seek(self._position - self._end)
            data = self.after.read(len(target))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: memoryview) -> int:
        if self._position < len(self.before):
            self.before[self._position : self._position + len(data)] = data
        else:
            self.after.seek(self._position - self._end)
            self.after.write(data)
        self._position += len(data)
        self.size = max(self.size, self._position)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size
