"""Training pictures: packing them into one HDF5 file (a pack), and reading random crops from it.

A pack holds one uint8 dataset (H, W, 3) per picture in the group `pictures`, with the file's name as an attribute. The
datasets are not compressed and have chunks of 128×128 pixels: among sides from 32 to 256, this one gave the most random
crops per second, 15,000 crops of 104×104 pixels on one core.
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
from srmd.base.files import atomic_write, check_is_file, make_folder
from srmd.base.signals import stop_requests
from srmd.config import MAX_PIXELS
from srmd.pictures.dihedral import VIEWS, turn_array
from srmd.pictures.files import over_white, read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.photos import builtin_training_pictures
from srmd.pictures.picture import Picture

if TYPE_CHECKING:
    import h5py

logger = logging.getLogger("srmd")

PackingProgress = Callable[[int, int], object]  # called with the number of pictures done and the total number
PACK_FORMAT = "srmd pictures"  # the attribute `format` of the file
PACK_VERSION = 1  # the attribute `version`
CHUNK_SIDE = 128  # side in pixels of an HDF5 chunk
BUILTIN_SET_VERSION = 1  # part of the name of the built-in set's pack; increased whenever the set changes


@dataclass
class PackSummary:
    """What `pack` has written; `str()` of it is a message for the user."""

    output: Path
    packed: int = 0  # number of pictures
    pixels: int = 0  # number of pixels of all pictures
    bytes: int = 0  # size of the file
    left_out: list[tuple[str, str]] = field(default_factory=list)  # file name and error of each broken picture

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    def __str__(self) -> str:
        left_out = f", left out {len(self.left_out)} broken" if self.left_out else ""
        size = f"{self.megapixels:.1f} megapixels, {self.bytes / 1e6:.1f} MB"
        return f"packed {_pictures(self.packed)} into {self.output} ({size}){left_out}"


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def pack(
    source: Path | None,
    output: Path,
    progress: PackingProgress = lambda done, total: None,
    max_pixels: int = MAX_PIXELS,
) -> PackSummary:
    """Pack the pictures of a folder, or the built-in set (None), into one file. After an error no file is left.

    Broken pictures, and those of more than `max_pixels` pixels, are left out with a warning. Raises InputError if no
    picture of the folder can be read, and Stopped on a signal. `progress` is called after each picture of a folder.
    """
    summary = PackSummary(output)
    if output.is_dir():
        raise InputError(f"{output}: expected the name of a file to write, found a folder")
    if source:
        pictures = _read_all(list_pictures(source), summary, progress, max_pixels)
    else:
        pictures = builtin_training_pictures()
    _write_pack(pictures, summary)
    return summary


def _read_all(
    paths: list[Path], summary: PackSummary, progress: PackingProgress, max_pixels: int
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and pixels of each picture that can be read, and add the others to the summary."""
    for number, path in enumerate(paths, start=1):
        try:
            pixels = _training_pixels(read_picture(path, max_pixels))
        except InputError as error:
            summary.left_out.append((path.name, str(error)))
            logger.warning("left out: %s", error)
        else:
            yield path.name, pixels
        progress(number, len(paths))


def _training_pixels(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture in 8-bit RGB, (H, W, 3), composited over white if it is transparent.

    The soft edges of cut-out pictures fit to white, because these are made for white pages; over black they would be
    harder than edges in photos. Without compositing, fully transparent pixels would show arbitrary colours.
    """
    if picture.alpha is None and picture.pixels.dtype == np.uint8:
        return picture.pixels
    rgb = picture.as_floats()
    if picture.alpha is not None:
        rgb = over_white(rgb, picture.alpha)
    return np.rint(255 * rgb).astype(np.uint8)


def _write_pack(pictures: Iterable[tuple[str, NDArray[np.uint8]]], summary: PackSummary) -> None:
    import h5py

    make_folder(summary.output.parent)
    with atomic_write(summary.output) as temporary:
        # HDF5 would swallow an exception raised by a signal handler, so signals are checked between pictures.
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
            raise InputError(f"expected at least one picture that can be read, found {len(summary.left_out)} broken")
        summary.bytes = temporary.stat().st_size


class PackedPictures:
    """The pictures of a pack, and random crops of them. Raises InputError if the file is not a pack.

    `sizes` (n, 2) holds height and width of each picture, `location` says where the pixels are, for messages. The parts
    made by `split` share the open file: closing one closes all.
    """

    location = "on disk"

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = Path(path)
        check_is_file(self.path, "a file of packed pictures (.h5)")
        # HDF5 caches chunks for each dataset. Consecutive crops rarely share a chunk: one chunk is enough.
        cache_bytes = CHUNK_SIDE * CHUNK_SIDE * 3
        try:
            self._file = h5py.File(self.path, "r", rdcc_nbytes=cache_bytes, locking=False)
        except OSError as error:
            raise InputError(f"{path}: expected a pack (.h5), found a damaged HDF5 file or another format") from error
        self._datasets = self._checked_datasets()
        self.sizes = np.array([dataset.shape[:2] for dataset in self._datasets])  # (n, 2), height and width

    def _checked_datasets(self) -> list["h5py.Dataset"]:
        import h5py

        attributes = [str(self._file.attrs.get(name)) for name in ("format", "version")]
        group = self._file.get("pictures")
        if attributes != [PACK_FORMAT, str(PACK_VERSION)] or not isinstance(group, h5py.Group):
            self.close()
            raise InputError(
                f"{self.path}: expected a pack of {PACK_FORMAT}, version {PACK_VERSION}, found another HDF5 file"
            )
        datasets = [group[key] for key in sorted(group)]
        if not datasets or not all(_holds_a_picture(dataset) for dataset in datasets):
            self.close()
            raise InputError(f"{self.path}: expected pictures, (height, width, 3) of 8 bits, found none or other data")
        return datasets

    def __len__(self) -> int:
        return len(self._datasets)

    @property
    def names(self) -> list[str]:
        """The file names of the pictures."""
        return [dataset.attrs["name"] for dataset in self._datasets]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a whole picture, (H, W, 3)."""
        return self._datasets[index][:]

    def count_large_enough(self, size: int) -> int:
        """Return the number of pictures that are large enough for crops of size×size pixels."""
        return int((self.sizes.min(1) >= size).sum())

    def sample(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.uint8]:
        """Return random square crops, (count, size, size, 3), each flipped and rotated at random.

        Every position in every picture that is large enough is equally likely, so large pictures give more crops. The
        crops depend on the state of `rng` only. Raises InputError if every picture is smaller than `size`.
        """
        crops = np.empty((count, size, size, 3), np.uint8)
        windows = self.random_windows(rng, count, size).tolist()
        for crop, (index, row, column, view) in zip(_view_pixels_as_items(crops), windows, strict=True):
            window = self._datasets[index][row : row + size, column : column + size]
            crop[:] = turn_array(_view_pixels_as_items(window), view)
        return crops

    def random_windows(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.int64]:
        """Return positions of random crops, (count, 4): picture, top row, left column, view (0 to 7)."""
        positions = np.maximum(self.sizes - size + 1, 0)  # (n, 2): how many rows and columns a crop can begin at
        ends = positions.prod(1).cumsum()  # the positions in all pictures have consecutive numbers
        if not ends[-1]:
            height, width = self.sizes[self.sizes.min(1).argmax()]
            raise InputError(f"{self.path}: expected a picture of {size}×{size} pixels or more, found {width}×{height}")
        number, view = rng.integers(ends[-1], size=count), rng.integers(VIEWS, size=count)
        index = ends.searchsorted(number, side="right")
        from_last = ends[index] - number - 1  # positions between the crop's and the last one of its picture
        row, column = np.divmod(from_last, positions[index, 1])
        return np.stack([index, row, column, view], 1)

    def split(self) -> tuple["PackedPictures", "PackedPictures"]:
        """Split into training and validation pictures.

        One in ten pictures, but at least 1 and at most 8, is for validation: evenly spaced and always the same. A pack
        of one picture uses it for both.
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


def _view_pixels_as_items(rgb: NDArray[np.uint8]) -> NDArray:
    """View RGB (..., 3) as (...) with one three-byte item per pixel: NumPy then copies turned crops twice as fast."""
    return rgb.view("V3")[..., 0]


def open_training_data(
    path: Path | None, cache: Path = Path("data"), progress: PackingProgress = lambda done, total: None
) -> PackedPictures:
    """Open a pack, a folder of pictures, or the built-in set (None).

    Folders and the built-in set are packed on first use, into the folder `cache`. A folder is packed again if the name,
    size or time of one of its pictures has changed. Raises InputError if the path is neither a pack nor a folder, or if
    the folder has no picture that can be read.
    """
    if path is None:
        packed = cache / f"builtin-{BUILTIN_SET_VERSION}.h5"
        if not packed.exists():
            logger.info("%s", pack(None, packed))
        return PackedPictures(packed)
    return PackedPictures(_packed_folder(path, cache, progress) if path.is_dir() else path)


def _packed_folder(folder: Path, cache: Path, progress: PackingProgress) -> Path:
    """Return the path of a folder's pack in the cache; the pack is made if it is missing or outdated."""
    files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in list_pictures(folder)]
    name = f"folder-{_digest(str(folder.resolve()))}"
    packed = cache / f"{name}-{_digest([PACK_VERSION, files])}.h5"
    if not packed.exists():
        logger.info("packing the pictures of %s; this is done once", folder)
        logger.info("%s", pack(folder, packed, progress))
        for outdated in set(cache.glob(f"{name}-*.h5")) - {packed}:
            outdated.unlink(missing_ok=True)  # another process may have removed it already
    return packed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
