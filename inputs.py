"""The pictures that a test is asked for, and the names of their results."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from config import TestConfig
from data_loader import builtin_test_pictures
from errors import InputError, asked_by
from images import Picture, list_pictures, read_picture


class Inputs:
    """Pictures by the name of their result: files and folders that were given, or the held-out built-in photos."""

    def __init__(self, config: TestConfig):
        self.flag = "--input" if config.input else "--test_data"
        given = config.input or ([config.test_data] if config.test_data else [])
        with asked_by(self.flag):
            paths = [path for item in given for path in (list_pictures(item) if item.is_dir() else [item])]
        self.paths = result_names(list(dict.fromkeys(paths)))
        self._check_nothing_is_overwritten(config.output)

    def _check_nothing_is_overwritten(self, output: Path) -> None:
        sources = {path.resolve(): path for path in self.paths.values()}
        for name in self.paths:
            for target in (output / f"{name}.png", output / "lr" / f"{name}.png", output / "compare" / f"{name}.png"):
                if target.resolve() in sources:
                    raise InputError(f"--output: {output}: the result {target} would overwrite an input")

    def __len__(self) -> int:
        return len(self.paths) or len(builtin_test_pictures())

    def __iter__(self) -> Iterator[tuple[str, Picture]]:
        """Name and picture of each; a broken one is named and left out, unless there is no other."""
        if not self.paths:
            yield from ((name, Picture(pixels)) for name, pixels in builtin_test_pictures().items())
        broken = []
        for name, path in self.paths.items():
            try:
                with asked_by(self.flag):
                    picture = read_picture(path)
            except InputError as error:
                broken.append(error)
                if len(broken) == len(self.paths):
                    raise
                tqdm.write(f"left out: {error}")
            else:
                yield name, picture


def result_names(paths: list[Path]) -> dict[str, Path]:
    """A name for each picture: its stem, or where others share that its name or path, or these with a number."""
    stems, names = Counter(path.stem for path in paths), Counter(path.name for path in paths)
    named: dict[str, Path] = {}
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else path.name
        if names[path.name] > 1:
            name = "_".join(part for part in path.with_suffix("").parts if part not in ("..", "/"))
        number = 1
        while (unique := name if number == 1 else f"{name}_{number}") in named:
            number += 1
        named[unique] = path
    return named
