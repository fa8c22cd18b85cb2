"""Packs the pictures of a folder, or the built-in set: reads, shrinks and encodes several pictures at a time."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.base.background import map_in_order
from srmd.base.errors import InputError, Stopped
from srmd.base.files import atomic_write, make_folder
from srmd.base.signals import stop_requests
from srmd.base.warnings import PictureWarnings
from srmd.config import PackOptions
from srmd.packs.writer import EncodedFile, EncodedPicture, write_pack
from srmd.pictures.compression import is_lossy
from srmd.pictures.files import over_white, read_picture
from srmd.pictures.folders import scan_pictures
from srmd.pictures.photos import builtin_training_pictures
from srmd.pictures.picture import Picture

logger = logging.getLogger("srmd")

PackingProgress = Callable[[int, int], object]  # called with the number of files done and the total number
# Shorter side in pixels of the smallest smaller version that is stored. At the default patch size, crops take 58, 104,
# 150 and 192 pixels at x1 to x4.
MIN_SMALLER_SIDE = 128
DEFAULT_OPTIONS = PackOptions()


@dataclass
class PackSummary:
    """What `pack` has written; `str()` of it is a message for the user."""

    output: Path
    packed: int = 0  # number of files
    pictures: int = 0  # number of pictures: one or more sizes of each file
    pixels: int = 0  # number of pixels of all pictures
    bytes: int = 0  # size of the pack
    left_out: list[tuple[str, str]] = field(default_factory=list)  # file name and error of each broken picture
    warnings: PictureWarnings = field(default_factory=PictureWarnings)  # of what was read

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    def __str__(self) -> str:
        left_out = f", left out {len(self.left_out)} broken" if self.left_out else ""
        smaller = self.pictures - self.packed
        sizes = f"{self.pictures} with smaller sizes, " if smaller else ""
        size = f"{sizes}{self.megapixels:.1f} megapixels, {self.bytes / 1e6:.1f} MB"
        return f"packed {_pictures(self.packed)} into {self.output} ({size}){left_out}"

    def count(self, file: EncodedFile) -> EncodedFile:
        """Add a file to the numbers, and return it."""
        self.packed += 1
        self.pictures += len(file.pictures)
        self.pixels += sum(picture.height * picture.width for picture in file.pictures)
        return file


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def pack(
    source: Path | None,
    output: Path,
    progress: PackingProgress = lambda done, total: None,
    options: PackOptions = DEFAULT_OPTIONS,
) -> PackSummary:
    """Pack the pictures of a folder, or the built-in set (None), into one file. After an error no file is left.

    The pack does not depend on the number of processors. Broken pictures are left out with a warning. Raises InputError
    if no picture of the folder can be read, OSError if the disk is full, and Stopped on a signal. `progress` is called
    after each picture of a folder. `options` are for folders: the built-in set has one size.
    """
    summary = PackSummary(output)
    files = _read_folder(source, options, summary, progress) if source else _builtin_files()
    write(files, summary)
    return summary


def write(files: Iterable[EncodedFile], summary: PackSummary) -> None:
    """Write a pack, atomically, and complete the summary. Raises InputError if there are no files, and Stopped."""
    output = summary.output
    if output.is_dir():
        raise InputError(f"{output}: expected the name of a file to write, found a folder")
    make_folder(output.parent)
    with atomic_write(output) as temporary:
        with stop_requests() as stop:
            write_pack(temporary, map(summary.count, _until_stopped(files, stop)))
        if not summary.packed:
            raise InputError(f"expected at least one picture that can be read, found {len(summary.left_out)} broken")
        summary.bytes = temporary.stat().st_size


def _until_stopped(files: Iterable[EncodedFile], stop: list[int]) -> Iterator[EncodedFile]:
    for file in files:
        if stop:
            raise Stopped(stop[0])
        yield file


def _builtin_files() -> Iterator[EncodedFile]:
    for name, pixels in builtin_training_pictures():
        yield EncodedFile(name, False, [EncodedPicture.from_pixels(pixels)])


def _read_folder(
    folder: Path, options: PackOptions, summary: PackSummary, progress: PackingProgress
) -> Iterator[EncodedFile]:
    """Yield the pictures of each file that can be read, and add the others to the summary."""
    scan = scan_pictures(folder, options.recursive)
    for subfolder, message in scan.unreadable.items():
        logger.warning("left out: %s: %s", subfolder, message)
    paths = scan.pictures
    results = map_in_order(partial(_read_file, folder, options, summary.warnings), paths, _processors())
    for number, result in enumerate(results, start=1):
        if isinstance(result, EncodedFile):
            yield result
        else:
            summary.left_out.append((_name(folder, paths[number - 1]), str(result)))
            logger.warning("left out: %s", result)
        progress(number, len(paths))
    for line in summary.warnings.summary():
        logger.warning("%s", line)


def _read_file(folder: Path, options: PackOptions, warnings: PictureWarnings, path: Path) -> EncodedFile | InputError:
    """The pictures made from a file, or the error if it is broken."""
    try:
        picture = read_picture(path, options.max_pixels)
    except InputError as error:
        return error
    for warning in picture.warnings:
        warnings.add(path, warning)
    pixels = _training_pixels(picture)
    lossy = is_lossy(path, options.max_pixels)
    versions = _shrink(pixels, options.sizes_of(lossy))
    return EncodedFile(_name(folder, path), lossy, [EncodedPicture.from_pixels(*version) for version in versions])


def _name(folder: Path, path: Path) -> str:
    """A file's name inside the folder, for example `birds/robin.png`."""
    return path.relative_to(folder).as_posix()


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


def _shrink(pixels: NDArray[np.uint8], relative_sizes: tuple[float, ...]) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Yield pixels (h, w, 3) and relative size of each version of a picture, the largest one first.

    A version whose shorter side is below MIN_SMALLER_SIDE is not made, except the largest one. Pictures are shrunk with
    Pillow's antialiased Lanczos filter, which keeps detail up to the new Nyquist frequency better than means of areas.
    """
    height, width = pixels.shape[:2]
    largest = max(relative_sizes)
    for relative_size in sorted(relative_sizes, reverse=True):
        new_height, new_width = (max(1, round(side * relative_size)) for side in (height, width))
        if relative_size < largest and min(new_height, new_width) < MIN_SMALLER_SIDE:
            continue
        if relative_size == 1:
            yield pixels, 1.0
        else:
            image = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.LANCZOS)
            yield np.asarray(image), relative_size


def _processors() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows lack it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
