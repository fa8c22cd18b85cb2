"""The pictures that a test is asked for, and the names of their results."""

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
    """Pictures by the name of their result: files and folders that were given, or the held-out built-in photos."""

    def __init__(self, request: TestRequest, min_side: int = 1):
        self.min_side = min_side  # pixels; smaller pictures count as broken
        self.argument = "input" if request.input else "test_data"
        given = request.input or ([request.test_data] if request.test_data else [])
        with prefix_errors(self.argument):
            paths = [path for item in given for path in (list_pictures(item) if item.is_dir() else [item])]
        self.paths = result_names(list(dict.fromkeys(paths)))
        folders = ["."] if request.input else [".", "compare", "lr"] if request.save_lr else [".", "compare"]
        self._check_nothing_is_overwritten(request, [request.output / folder for folder in folders])
        self.left_out: list[str] = []  # the names of those that turned out to be broken, when all were asked for

    def _check_nothing_is_overwritten(self, request: TestRequest, folders: list[Path]) -> None:
        kernel = [request.save_kernel] if request.save_kernel else []  # drawn before
        sources = {path.resolve() for path in (*self.paths.values(), *request.input_paths, *kernel)}
        names = list(self.paths or builtin_test_pictures())
        for folder in folders:
            for name in names:
                if (folder / f"{name}.png").resolve() in sources:
                    raise InputError(f"the result {folder / name}.png would overwrite what was given", "output")

    def pixels_reached(self) -> dict[str, int]:
        """The pixels of all pictures up to each, itself included; what can't be read has none."""
        if self.paths:
            counts = {name: count_pixels(path) for name, path in self.paths.items()}
        else:
            counts = {name: pixels.shape[0] * pixels.shape[1] for name, pixels in builtin_test_pictures().items()}
        return dict(zip(counts, accumulate(counts.values()), strict=True))

    def __iter__(self) -> Iterator[tuple[str, Picture]]:
        """Name and picture of each; a broken one is named and left out, unless there is no other."""
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
        picture = read_picture(path)
        if min(picture.pixels.shape[:2]) < self.min_side:
            height, width = picture.pixels.shape[:2]
            raise InputError(f"{path}: expected sides of at least {self.min_side} pixels, found {width}×{height}")
        return picture


def result_names(paths: list[Path]) -> dict[str, Path]:
    """A name for each picture: its stem, or where others share that its name or path, or these with a number."""
    stems, names = Counter(path.stem for path in paths), Counter(path.name for path in paths)
    named: dict[str, Path] = {}
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else path.name
        if names[path.name] > 1:
            inside = path.relative_to(path.anchor).with_suffix("")  # the anchor: / or, on Windows, C:\\
            name = "_".join(part for part in inside.parts if part != "..")
        number = 1
        while (unique := name if number == 1 else f"{name}_{number}") in named:
            number += 1
        named[unique] = path
    return named
