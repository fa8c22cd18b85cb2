"""Training pictures: packed into one HDF5 file, and random crops of them.

A pack holds one uint8 dataset (H, W, 3) a picture under `pictures/`, its name as an attribute. Stored plain, in chunks
of 128×128: of 32 to 256 these gave the most random crops, some 15,000 of 104×104 a second on one core.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError, Stopped
from srmd.base.files import atomic_write, make_folder
from srmd.base.signals import stop_requests
from srmd.pictures.dihedral import VIEWS, turn_array
from srmd.pictures.files import list_pictures, over_white, read_picture
from srmd.pictures.photos import builtin_training_pictures
from srmd.pictures.picture import Picture

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger("srmd")

Progress = Callable[[int, int], object]  # is told how many are done, and how many there are
PACK_FORMAT, PACK_VERSION = "srmd pictures", 1
CHUNK_SIDE = 128
BUILTIN_SET_VERSION = 1  # one higher whenever the built-in set changes


@dataclass
class PackSummary:
    """What went into a pack; `skipped` holds name and reason of each broken picture, `str()` is a line for people."""

    output: Path
    packed: int = 0
    pixels: int = 0
    bytes: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    def __str__(self) -> str:
        skipped = f", skipped {len(self.skipped)} broken" if self.skipped else ""
        size = f"{self.megapixels:.1f} megapixels, {self.bytes / 1e6:.1f} MB"
        return f"packed {_pictures(self.packed)} into {self.output} ({size}){skipped}"


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def pack(source: Path | None, output: Path, progress: Progress = lambda done, total: None) -> PackSummary:
    """Packs the pictures of a folder, or the built-in set, into one file, whole or not at all.

    Broken pictures are named and left out. Raises InputError where a folder has no whole one. `progress` is told how
    many of a folder's pictures are read, and how many there are.
    """
    summary = PackSummary(output)
    if output.is_dir():
        raise InputError(f"{output}: expected the name of a file to write, found a folder")
    _write_pack(_read_all(list_pictures(source), summary, progress) if source else builtin_training_pictures(), summary)
    return summary


def _read_all(paths: list[Path], summary: PackSummary, progress: Progress) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for number, path in enumerate(paths, start=1):
        try:
            pixels = _training_pixels(read_picture(path))
        except InputError as error:
            summary.skipped.append((path.name, str(error)))
            logger.warning("skipped %s", error)
        else:
            yield path.name, pixels
        progress(number, len(paths))


def _training_pixels(picture: Picture) -> NDArray[np.uint8]:
    """8 bits, RGB, and on white what is transparent.

    Cut-out pictures are made for white pages and their soft edges blend with it; the colours hidden under full
    transparency are noise, and edges against black are rare in photos.
    """
    if picture.alpha is None and picture.pixels.dtype == np.uint8:
        return picture.pixels
    rgb = picture.to_float()
    return np.rint(255 * (rgb if picture.alpha is None else over_white(rgb, picture.alpha))).astype(np.uint8)


def _write_pack(pictures: Iterable[tuple[str, NDArray[np.uint8]]], summary: PackSummary) -> None:
    import h5py

    make_folder(summary.output.parent)
    with atomic_write(summary.output) as temporary:
        # HDF5 swallows what a signal's handler raises: the signal waits for the next picture.
        with stop_requests() as stop, h5py.File(temporary, "w") as file:
            file.attrs.update(format=PACK_FORMAT, version=PACK_VERSION)
            group = file.create_group("pictures")
            for name, pixels in pictures:
                if stop:
                    raise Stopped(stop[0])
                chunks = (min(CHUNK_SIDE, pixels.shape[0]), min(CHUNK_SIDE, pixels.shape[1]), 3)
                dataset = group.create_dataset(f"{summary.packed:06d}", data=pixels, chunks=chunks)
                dataset.attrs["name"] = name.encode(errors="backslashreplace").decode()
                summary.packed += 1
                summary.pixels += pixels.shape[0] * pixels.shape[1]
        if not summary.packed:
            raise InputError(f"expected at least one whole picture, found {len(summary.skipped)} broken")
        summary.bytes = temporary.stat().st_size


class PackedPictures:
    """The pictures of a packed file, by number, and random crops of them.

    Parts made by `split` share the open file: closing one closes all. Raises InputError for a file that isn't ours.
    """

    location = "on disk"

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = Path(path)
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "no such file"
            raise InputError(f"{path}: expected a file of packed pictures (.h5), found {found}")
        try:  # a crop rarely meets the last one's chunks, and each dataset has a cache of its own: the smallest will do
            self._file = h5py.File(self.path, "r", rdcc_nbytes=CHUNK_SIDE * CHUNK_SIDE * 3, locking=False)
        except OSError as error:
            raise InputError(f"{path}: expected packed pictures (.h5), found no whole HDF5 file") from error
        self._datasets = self._checked_datasets()
        self.sizes = np.array([dataset.shape[:2] for dataset in self._datasets])  # (n, 2), height and width

    def _checked_datasets(self) -> list["h5py.Dataset"]:
        import h5py

        found, group = [str(self._file.attrs.get(key)) for key in ("format", "version")], self._file.get("pictures")
        if found != [PACK_FORMAT, str(PACK_VERSION)] or not isinstance(group, h5py.Group):
            self.close()
            raise InputError(
                f"{self.path}: expected a pack of {PACK_FORMAT}, version {PACK_VERSION}, found another HDF5 file"
            )
        datasets = [group[key] for key in sorted(group)]
        if not datasets or not all(_holds_a_picture(dataset) for dataset in datasets):
            self.close()
            raise InputError(f"{self.path}: expected pictures, (height, width, 3) of 8 bits, found none, or others")
        return datasets

    def __len__(self) -> int:
        return len(self._datasets)

    @property
    def names(self) -> list[str]:
        """The names of the files that the pictures came from."""
        return [dataset.attrs["name"] for dataset in self._datasets]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One whole picture, (H, W, 3)."""
        return self._datasets[index][:]

    def count_large_enough(self, size: int) -> int:
        """How many pictures are large enough for crops of size×size."""
        return int((self.sizes.min(1) >= size).sum())

    def sample(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.uint8]:
        """Random square crops, (count, size, size, 3), each flipped and turned at random.

        Every position in every picture that is large enough is equally likely, so large pictures give more crops. The
        state of `rng` alone decides. Raises InputError where no picture is as large as `size`.
        """
        crops = np.empty((count, size, size, 3), np.uint8)
        windows = self.windows(rng, count, size).tolist()
        for crop, (index, row, column, view) in zip(_whole_pixels(crops), windows, strict=True):
            window = self._datasets[index][row : row + size, column : column + size]
            crop[:] = turn_array(_whole_pixels(window), view)
        return crops

    def windows(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
        """Where random crops lie, (count, 4): picture, row, column, view."""
        places = np.maximum(self.sizes - size + 1, 0)
        ends = places.prod(1).cumsum()
        if not ends[-1]:
            height, width = self.sizes[self.sizes.min(1).argmax()]
            raise InputError(f"{self.path}: expected a picture of {size}×{size} pixels or more, found {width}×{height}")
        place, view = rng.integers(ends[-1], size=count), rng.integers(VIEWS, size=count)
        index = ends.searchsorted(place, side="right")
        row, column = np.divmod(ends[index] - place - 1, places[index, 1])
        return np.stack([index, row, column, view], 1)

    def split(self) -> tuple["PackedPictures", "PackedPictures"]:
        """Training and validation pictures; the latter are one in ten, 1 to 8, evenly spaced, always the same.

        A single picture serves both.
        """
        if len(self) == 1:
            return self._part([0]), self._part([0])
        count = max(1, min(8, len(self) // 10))
        held_out = [(2 * i + 1) * len(self) // (2 * count) for i in range(count)]
        return self._part([i for i in range(len(self)) if i not in held_out]), self._part(held_out)

    def _part(self, indices: list[int]) -> "PackedPictures":
        part = copy.copy(self)
        part._datasets = [self._datasets[index] for index in indices]
        part.sizes = self.sizes[indices]
        return part

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "PackedPictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _holds_a_picture(item: object) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset) and item.dtype == np.uint8 and (item.shape or ())[2:] == (3,)


def _whole_pixels(rgb: NDArray[np.uint8]) -> NDArray:
    """(..., 3) as (...) of items of three bytes, which NumPy turns in half the time."""
    return rgb.view("V3")[..., 0]


def open_training_data(
    path: Path | None, cache: Path = Path("data"), progress: Progress = lambda done, total: None
) -> PackedPictures:
    """The built-in set (None), a packed file, or a folder of pictures; sets and folders are packed once, into `cache`.

    A folder is packed again when the names, sizes or times of its pictures changed. Raises InputError for a path that
    is neither, or holds nothing to train on.
    """
    if path is None:
        packed = cache / f"builtin-{BUILTIN_SET_VERSION}.h5"
        if not packed.exists():
            logger.info("%s", pack(None, packed))
        return PackedPictures(packed)
    return PackedPictures(_packed_folder(path, cache, progress) if path.is_dir() else path)


def _packed_folder(folder: Path, cache: Path, progress: Progress) -> Path:
    where = str(folder.resolve())
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in list_pictures(folder)]
    name = f"folder-{_digest(where)}"
    packed = cache / f"{name}-{_digest([PACK_VERSION, files])}.h5"
    if not packed.exists():
        logger.info("packing %s, once", folder)
        logger.info("%s", pack(folder, packed, progress))
        for outdated in set(cache.glob(f"{name}-*.h5")) - {packed}:
            outdated.unlink(missing_ok=True)  # another process may have been first
    return packed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
