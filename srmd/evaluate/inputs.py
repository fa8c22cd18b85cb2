"""The HR pictures of a test, and the names of their result files."""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from srmd.base.distributed import Processes
from srmd.base.errors import InputError, prefix_errors
from srmd.base.warnings import PictureWarnings
from srmd.config import TestRequest
from srmd.evaluate.names import result_file
from srmd.pictures.files import count_pixels, read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.maps import check_map_size
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import Picture

logger = logging.getLogger("srmd")


class Inputs:
    """The HR pictures of a test with the names of their results: a file, those of a folder, or the held-out photos.

    Iterating gives name and picture of each. Raises InputError if a result would overwrite an input.

    Args:
        scale: that of the network. One of several pictures that does not fit the request's maps is treated as broken;
            for a single picture, that is an error of the map.
        min_side: minimum side of a picture in pixels; smaller ones are treated as broken.
    """

    def __init__(self, request: TestRequest, scale: int = 1, min_side: int = 1):
        self._request, self._scale, self._min_side = request, scale, min_side
        paths = []
        if request.test_data:
            with prefix_errors("test_data"):
                paths = list_pictures(request.test_data) if request.test_data.is_dir() else [request.test_data]
        self.paths = result_names(paths)
        self._check_nothing_is_overwritten(request)
        self.left_out: dict[Path, str] = {}  # the reason for each broken picture that the iteration has found so far
        self._processes = Processes()

    def divide(self, processes: Processes) -> None:
        """Lets the iteration give this process's share of the pictures only."""
        self._processes = processes

    def merge(self, rows: list[dict]) -> list[dict]:
        """The rows of all processes, in the order of the pictures, given those of this one.

        `left_out` then holds the pictures of all. Raises InputError if all are broken.
        """
        if not self._processes.are_several:
            return rows
        parts = self._processes.gather((rows, self.left_out))
        rows_by_name = {row["name"]: row for part, _ in parts for row in part}
        left_out = {path: reason for _, part in parts for path, reason in part.items()}
        self.left_out = {path: left_out[path] for path in self.paths.values() if path in left_out}
        with self._processes.common_errors():
            if not rows_by_name:
                path, reason = list(self.left_out.items())[-1]
                raise InputError(f"{path}: {reason}", "test_data")
        return [rows_by_name[name] for name in self.paths or builtin_test_pictures() if name in rows_by_name]

    def _check_nothing_is_overwritten(self, request: TestRequest) -> None:
        folders = [request.output, request.output / "compare"]
        if request.save_lr:
            folders.append(request.output / "lr")
        protected = {path.resolve() for path in (*self.paths.values(), *request.input_paths)}
        if request.save_kernel:  # the kernel is written before the results
            protected.add(request.save_kernel.resolve())
        names = list(self.paths or builtin_test_pictures())
        for folder in folders:
            for name in names:
                if (folder / f"{name}.png").resolve() in protected:
                    raise InputError(f"the result {folder / name}.png would overwrite another file", "output")

    def cumulative_pixels(self) -> dict[str, int]:
        """For each name, the number of pixels of all pictures up to and including that one; broken ones count as 0."""
        if self.paths:
            counts = {name: count_pixels(path, self._request.max_pixels) for name, path in self.paths.items()}
        else:
            counts = {name: pixels.shape[0] * pixels.shape[1] for name, pixels in builtin_test_pictures().items()}
        counts = dict(self._processes.share(list(counts.items())))
        return dict(zip(counts, accumulate(counts.values()), strict=True))

    def __iter__(self) -> Iterator[tuple[str, Picture]]:
        """Name and picture of each. Leaves out broken pictures with a warning; raises InputError if all are broken."""
        self.left_out = {}
        self._warnings = PictureWarnings()
        if not self.paths:
            builtin = self._processes.share(list(builtin_test_pictures().items()))
            yield from ((name, Picture(pixels)) for name, pixels in builtin)
        for name, path in self._processes.share(list(self.paths.items())):
            try:
                with prefix_errors("test_data"):
                    picture = self._read(path)
            except InputError as error:
                self.left_out[path] = str(error).removeprefix(f"test_data: {path}: ")
                if len(self.left_out) == len(self.paths):
                    raise
                logger.warning("left out: %s", error)
            else:
                yield name, picture
        for line in self._warnings.summary():
            logger.warning("%s", line)

    def _read(self, path: Path) -> Picture:
        picture = read_picture(path, self._request.max_pixels)
        height, width = picture.pixels.shape[:2]
        if min(height, width) < self._min_side:
            raise InputError(f"{path}: expected sides of at least {self._min_side} pixels, found {width}×{height}")
        if len(self.paths) > 1:
            with prefix_errors(str(path)):
                check_maps_fit(self._request, (height, width), self._scale)
        for warning in picture.warnings:
            self._warnings.add(path, warning)
        return picture


def check_maps_fit(request: TestRequest, hr_size: tuple[int, int], scale: int) -> None:
    """Raises InputError if the regions or the noise map of a request do not fit a picture."""
    for argument, named in (("regions", request.regions), ("noise_map", request.noise_map)):
        if named:
            with prefix_errors(f"`{argument}={named.path}`"):
                check_map_size(named.values, hr_size, scale)


def result_names(paths: list[Path]) -> dict[str, Path]:
    """The path of each picture of a folder by the name of its result, which is unique.

    The name of a result is the stem of the file's name, or the file's name if several files share the stem. A number is
    appended if the result's name is still not unique.
    """
    stems = Counter(path.stem for path in paths)
    named: dict[str, Path] = {}
    for path in paths:
        name, number = result_file(Path(path.name), "" if stems[path.stem] == 1 else path.suffix), 1
        while (unique := name if number == 1 else f"{name}_{number}") in named:
            number += 1
        named[unique] = path
    return named
