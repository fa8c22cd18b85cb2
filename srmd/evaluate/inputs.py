"""The input pictures of a test, and the names of its result files."""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.config import TestRequest
from srmd.pictures.files import count_pixels, list_pictures, read_picture
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import Picture

logger = logging.getLogger("srmd")


class Inputs:
    """The input pictures of a test with the names of their results: files and folders, or the held-out photos.

    Iterating gives name and picture of each. Raises InputError if a result would overwrite an input.

    Args:
        min_side: minimum side of a picture in pixels; smaller ones are treated as broken.
    """

    def __init__(self, request: TestRequest, min_side: int = 1):
        self.min_side, self.max_pixels = min_side, request.max_pixels
        self.argument = "input" if request.input else "test_data"
        files_and_folders = request.input or ([request.test_data] if request.test_data else [])
        paths = []
        with prefix_errors(self.argument):
            for path in files_and_folders:
                paths += list_pictures(path) if path.is_dir() else [path]
        self.paths = result_names(list(dict.fromkeys(paths)))
        self._check_nothing_is_overwritten(request)
        self.left_out: list[str] = []  # names of the broken pictures that the iteration has found so far

    def _check_nothing_is_overwritten(self, request: TestRequest) -> None:
        folders = [request.output]
        if not request.input:
            folders.append(request.output / "compare")
            if request.save_lr:
                folders.append(request.output / "lr")
        protected = {path.resolve() for path in (*self.paths.values(), *request.input_paths)}
        if request.save_kernel:  # the kernel is written before the results
            protected.add(request.save_kernel.resolve())
        names = list(self.paths or builtin_test_pictures())
        results = [folder / f"{name}.png" for folder in folders for name in names]
        if request.result:
            if len(names) > 1:
                found = f"found the name of a picture, {request.result}"
                raise InputError(f"expected a folder for {len(names)} results, {found}", "output")
            results = [request.result]
        for path in results:
            if path.resolve() in protected:
                raise InputError(f"the result {path} would overwrite another file", "output")

    def cumulative_pixels(self) -> dict[str, int]:
        """For each name, the number of pixels of all pictures up to and including that one; broken ones count as 0."""
        if self.paths:
            counts = {name: count_pixels(path, self.max_pixels) for name, path in self.paths.items()}
        else:
            counts = {name: pixels.shape[0] * pixels.shape[1] for name, pixels in builtin_test_pictures().items()}
        return dict(zip(counts, accumulate(counts.values()), strict=True))

    def __iter__(self) -> Iterator[tuple[str, Picture]]:
        """Name and picture of each. Leaves out broken pictures with a warning; raises InputError if all are broken."""
        self.left_out = []
        if not self.paths:
            yield from ((name, Picture(pixels)) for name, pixels in builtin_test_pictures().items())
        for name, path in self.paths.items():
            try:
                with prefix_errors(self.argument):
                    picture = self._read(path)
            except InputError as error:
                self.left_out.append(name)
                if len(self.left_out) == len(self.paths):
                    raise
                logger.warning("left out: %s", error)
            else:
                yield name, picture

    def _read(self, path: Path) -> Picture:
        picture = read_picture(path, self.max_pixels)
        if min(picture.pixels.shape[:2]) < self.min_side:
            height, width = picture.pixels.shape[:2]
            raise InputError(f"{path}: expected sides of at least {self.min_side} pixels, found {width}×{height}")
        for warning in picture.warnings:
            logger.warning("%s: %s", path, warning)
        return picture


def result_names(paths: list[Path]) -> dict[str, Path]:
    """The path of each picture by the name of its result, which is unique.

    The name of a result is the stem of the file's name. If several files share the stem, it is the file's name with
    suffix; if several files share that too, it is the path with underscores in place of slashes. A number is appended
    if the result's name is still not unique.
    """
    stems, names = Counter(path.stem for path in paths), Counter(path.name for path in paths)
    named: dict[str, Path] = {}
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else path.name
        if names[path.name] > 1:
            relative = path.relative_to(path.anchor).with_suffix("")  # the anchor is "/", or on Windows the drive
            name = "_".join(part for part in relative.parts if part != "..")
        number = 1
        while (unique := name if number == 1 else f"{name}_{number}") in named:
            number += 1
        named[unique] = path
    return named
