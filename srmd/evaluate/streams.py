"""Pictures on standard input and standard output."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from srmd.base.errors import InputError
from srmd.base.files import name_in_errors
from srmd.pictures.files import open_image

MAX_BYTES_PER_PIXEL = 8  # of the file that standard input is stored in: four channels of 16 bits, not compressed
CHUNK = 2**20


@contextmanager
def picture_file(stream: BinaryIO, max_pixels: int) -> Iterator[Path]:
    """A context that stores a picture from a stream in a temporary file, named `stdin` with the suffix of its format.

    Raises InputError if the stream is empty or holds more than a picture of `max_pixels` pixels needs.
    """
    with tempfile.TemporaryDirectory(prefix="srmd-") as folder:
        path = Path(folder, "stdin")
        _copy(stream, path, MAX_BYTES_PER_PIXEL * max_pixels)
        yield path.rename(path.with_suffix(_suffix(path, max_pixels)))


def _copy(stream: BinaryIO, path: Path, max_bytes: int) -> None:
    copied = 0
    with name_in_errors(path), path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            copied += len(chunk)
            if copied > max_bytes:
                expected = f"expected at most {max_bytes / 1e6:.0f} MB on standard input (`max_pixels`)"
                raise InputError(f"{expected}, found more", "input")
            file.write(chunk)
    if not copied:
        raise InputError("expected a picture on standard input, found nothing", "input")


def _suffix(path: Path, max_pixels: int) -> str:
    """The usual suffix of a picture's format, from the content of the file; empty if the format is not known."""
    try:
        with open_image(path, max_pixels) as image:
            name = image.format
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return ""
    suffixes = [suffix for suffix, format_name in Image.registered_extensions().items() if format_name == name]
    return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tiff", "PPM": ".ppm"}.get(name, suffixes[0] if suffixes else "")
