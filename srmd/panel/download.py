"""The file of a restored picture, in the format that a person chooses."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from srmd.base.errors import InputError
from srmd.panel.settings import whole_number
from srmd.panel.whole import Result
from srmd.pictures.files import encode_picture
from srmd.pictures.formats import (
    DEFAULT_QUALITY,
    SUFFIXES,
    check_size,
    format_of,
    lost_properties,
    result_suffix,
)

FORMATS = (*SUFFIXES, "keep")
BLOCK = 2**20  # bytes


@dataclass(frozen=True)
class FileChoice:
    """Format and quality of the file; raises InputError for others than FORMATS and 1 to 100."""

    format: str = "png"
    quality: int = DEFAULT_QUALITY

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"expected one of {', '.join(FORMATS)}, found {self.format!r}", "format")
        whole_number("file_quality", self.quality)

    def file_name(self, name: str, scale: int) -> str:
        """The name of the result of the picture `name`: photo_x2.png of photo.jpg."""
        return f"{Path(name).stem}_x{scale}{result_suffix(self.format, Path(name))}"


@dataclass(frozen=True, eq=False)
class ResultFile:
    """A restored picture as a file in memory: its name, its content in parts, and what its format can't hold."""

    name: str
    parts: list[bytes | memoryview]
    warnings: list[str]
    secret: str = field(default_factory=secrets.token_urlsafe)  # part of the address at which it is downloaded

    @property
    def bytes(self) -> int:
        """Its size."""
        return sum(map(len, self.parts))

    def blocks(self) -> Iterator[bytes]:
        """Its content in blocks of at most BLOCK bytes, so that no download takes the memory of a whole file."""
        for part in self.parts:
            for start in range(0, len(part), BLOCK):
                yield bytes(part[start : start + BLOCK])


def result_file(result: Result, choice: FileChoice) -> ResultFile:
    """The file of a result; raises InputError if its format can't hold a picture of this size."""
    source, path = result.source.picture, Path(choice.file_name(result.source.name, result.settings.scale))
    height, width = result.pixels.shape[:2]
    name = format_of(path)
    check_size(name, width=width, height=height)
    warnings = [f"{name} can't hold {lost}." for lost in lost_properties(name, source)]
    parts = encode_picture(
        path, result.pixels, source, result.alpha, int(choice.quality), lambda _path, text: warnings.append(f"{text}.")
    )
    return ResultFile(path.name, parts, warnings)
