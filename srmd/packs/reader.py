"""Reads packs: whole pictures, and random crops, whose checksums are compared each time they are read."""

import copy
import io
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div
from srmd.base.errors import InputError
from srmd.packs.index import read_index
from srmd.packs.layout import TILE_SIDE, copy_pixels, tile_checksums
from srmd.pictures.dihedral import VIEWS, turn_array_back

MAX_VALIDATION_FILES = 8


class PackedPictures:
    """The pictures of a pack, and random crops of them. Raises InputError if the file is not a pack.

    `sizes` (n, 2) holds height and width of each picture, `relative_sizes` (n,) its size relative to its file.
    `identity` tells whether two packs hold equal pictures. `location` says where the pixels are, for messages. The
    parts made by `split` share the open file: closing one closes all.

    Pixels are read from the file each time. A tile whose checksum is wrong, and a file that has become shorter, raise
    InputError: the file was damaged after it was opened, or its disk fails.
    """

    location = "on disk"

    def __init__(self, path: Path, name: str | Path | None = None) -> None:
        """`name` is what messages call the pictures, for example the folder that was packed; by default the path."""
        self.path, self.name = Path(path), str(name or path)
        index, self._start = read_index(self.path)
        self.identity = index.identity
        self._all_names, self._lossy, self._checksums = index.names, index.lossy, index.checksums
        self._files = index.pictures["file"].astype(np.int64)
        self.sizes = np.stack([index.pictures["height"], index.pictures["width"]], 1).astype(np.int64)
        self.relative_sizes = index.pictures["relative_size"]
        self._offsets = index.byte_counts().cumsum() - index.byte_counts()  # of the picture's first byte
        self._first_tiles = index.tile_counts().cumsum() - index.tile_counts()
        self._positions: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._lock = threading.Lock()  # a thread may read batches ahead; `seek` and `readinto` belong together
        try:
            self._file = _SelfClosingFile(self.path)
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from error

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def names(self) -> list[str]:
        """The file name of each picture; all sizes of a file have its name."""
        return [self._name(index) for index in range(len(self))]

    def _name(self, index: int) -> str:
        return bytes(self._all_names[self._files[index]]).decode(errors="replace")

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a whole picture, (H, W, 3)."""
        pixels = np.empty((*self.sizes[index], 3), np.uint8)
        self._read(pixels, 0, 0, _Place(*self._places(np.array([index]))[0].tolist()))
        return pixels

    def count_large_enough(self, size: int) -> int:
        """Return the number of pictures that are large enough for crops of size×size pixels."""
        return int((self.sizes.min(1) >= size).sum())

    def check_size(self, size: int, reason: str = "") -> None:
        """Raise InputError, which states the `reason` for the size, if every picture is smaller than size×size."""
        if not self._crop_positions(size)[1][-1]:
            height, width = self.sizes[self.sizes.min(1).argmax()]
            expected = ", ".join(filter(None, [f"a picture of {size}×{size} pixels or more", reason]))
            raise InputError(f"{self.name}: expected {expected}, found at most {width}×{height}")

    def sample(self, rng: np.random.Generator, count: int, size: int, part: slice = slice(None)) -> NDArray[np.uint8]:
        """Return random square crops, (count, size, size, 3), each flipped and rotated at random.

        Every position in every picture that is large enough is equally likely, so large pictures give more crops. The
        crops depend on the state of `rng` only. With `part`, only this part of the crops is read and returned. Raises
        InputError if every picture is smaller than `size`.
        """
        windows = self.random_windows(rng, count, size)[part]
        crops = np.empty((len(windows), size, size, 3), np.uint8)
        places = self._places(windows[:, 0]).tolist()
        for crop, place, (_, row, column, view) in zip(crops, places, windows.tolist(), strict=True):
            self._read(turn_array_back(crop, view), row, column, _Place(*place))
        return crops

    def _places(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The fields of `_Place` of some pictures, (n, 5)."""
        return np.column_stack([indices, self.sizes[indices], self._offsets[indices], self._first_tiles[indices]])

    def _read(self, target: NDArray[np.uint8], row: int, column: int, place: "_Place") -> None:
        """Read the window of a picture that begins at (row, column) into `target`, (h, w, 3)."""
        index, height, width, offset, first_tile = place
        rows, columns = target.shape[:2]
        left = column // TILE_SIDE * TILE_SIDE
        right = min(ceil_div(column + columns, TILE_SIDE) * TILE_SIDE, width)
        tiles_per_band = ceil_div(width, TILE_SIDE)
        for top in range(row // TILE_SIDE * TILE_SIDE, row + rows, TILE_SIDE):
            band_height = min(TILE_SIDE, height - top)
            start = offset + 3 * (top * width + left * band_height)
            tile = first_tile + top // TILE_SIDE * tiles_per_band + left // TILE_SIDE
            tiles = self._read_tiles(start, (right - left, band_height, 3), tile, index)
            first, last = max(row - top, 0), min(row + rows - top, band_height)
            window = tiles[column - left : column - left + columns, first:last]
            copy_pixels(target[top + first - row : top + last - row], window.transpose(1, 0, 2))

    def _read_tiles(self, start: int, shape: tuple[int, int, int], tile: int, index: int) -> NDArray[np.uint8]:
        """Return consecutive tiles of one row of tiles, (columns, rows, 3), from a byte and a tile number on."""
        tiles = np.empty(shape, np.uint8)
        try:
            with self._lock:
                self._file.seek(self._start + start)
                count = self._file.readinto(tiles)
        except OSError as error:
            raise InputError(f"{self.path}: can't be read ({error.strerror})") from error
        if count != tiles.size:
            raise self._damage(index, "the end of the file")
        checksums = tile_checksums(tiles)
        if checksums != self._checksums[tile : tile + len(checksums)].tolist():
            raise self._damage(index, "a wrong checksum")
        return tiles

    def _damage(self, index: int, found: str) -> InputError:
        is_in_cache = self.name != str(self.path)
        remedy = f" (without this file, {self.name} is packed again)" if is_in_cache else ""
        return InputError(f"{self.path}: expected the pixels of {self._name(index)}, found {found}{remedy}")

    def random_windows(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
        """Return positions of random crops, (count, 4): picture, top row, left column, view (0 to 7)."""
        self.check_size(size)
        columns, ends = self._crop_positions(size)
        number, view = rng.integers(ends[-1], size=count), rng.integers(VIEWS, size=count)
        index = ends.searchsorted(number, side="right")
        from_last = ends[index] - number - 1  # positions between the crop's and the last one of its picture
        row, column = np.divmod(from_last, columns[index])
        return np.stack([index, row, column, view], 1)

    def _crop_positions(self, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many columns a crop can begin at, (n,), and the number of positions up to the end of each picture, (n,).

        The positions in all pictures have consecutive numbers.
        """
        if size not in self._positions:
            positions = np.maximum(self.sizes - size + 1, 0)  # (n, 2), rows and columns
            self._positions[size] = positions[:, 1], positions.prod(1).cumsum()
        return self._positions[size]

    def split(self) -> tuple["PackedPictures", "PackedPictures"]:
        """Split into training and validation pictures.

        One in ten files, but at least 1 and at most 8, is for validation: evenly spaced and always the same. They are
        taken from the lossless files if there are twice as many, because artefacts of JPEG would count as detail. All
        sizes of a file are on one side, and of a validation file only the largest is used. A pack of one file uses it
        for both.
        """
        files, largest = np.unique(self._files, return_index=True)
        if len(files) == 1:
            return self._part(np.arange(len(self))), self._part(largest)
        count = max(1, min(MAX_VALIDATION_FILES, len(files) // 10))
        lossless = np.flatnonzero(~self._lossy[files])
        candidates = lossless if len(lossless) >= 2 * count else np.arange(len(files))
        held_out = candidates[[(2 * i + 1) * len(candidates) // (2 * count) for i in range(count)]]
        training = np.flatnonzero(~np.isin(self._files, files[held_out]))
        return self._part(training), self._part(largest[held_out])

    def _part(self, indices: NDArray[np.int64]) -> "PackedPictures":
        part = copy.copy(self)
        for name in ("_files", "sizes", "relative_sizes", "_offsets", "_first_tiles"):
            setattr(part, name, getattr(self, name)[indices])
        part._positions = {}
        return part

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "PackedPictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SelfClosingFile(io.FileIO):
    """A file that may be left open, as those of h5py may: Python closes it without a ResourceWarning."""

    def __del__(self) -> None:
        self.close()


class _Place(NamedTuple):
    """Where a picture lies in a pack."""

    index: int
    height: int
    width: int
    offset: int  # of its first byte in the dataset `pixels`
    first_tile: int  # number of its first tile among all tiles
