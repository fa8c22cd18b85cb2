"""Pictures on standard input and standard output."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from srmd.base.errors import InputError
from srmd.pictures.files import MAX_PIXELS, open_image

# The largest file that standard input is stored in: 16 bits in four channels of the largest picture, not compressed.
MAX_BYTES = 8 * MAX_PIXELS
CHUNK = 2**20


@contextmanager
def picture_file(stream: BinaryIO) -> Iterator[Path]:
    """A context that stores a picture from a stream in a temporary file, named `stdin` with the suffix of its format.

    Raises InputError if the stream is empty or holds more than MAX_BYTES.
    """
    with tempfile.TemporaryDirectory(prefix="srmd-") as folder:
        path = Path(folder, "stdin")
        _copy(stream, path)
        yield path.rename(path.with_suffix(_suffix(path)))


def _copy(stream: BinaryIO, path: Path) -> None:
    copied = 0
    with path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            copied += len(chunk)
            if copied > MAX_BYTES:
                raise InputError(f"expected at most {MAX_BYTES / 2**30:g} GiB on standard input, found more", "input")
            file.write(chunk)
    if not copied:
        raise InputError("expected a picture on standard input, found nothing", "input")


def _suffix(path: Path) -> str:
    """The usual suffix of a picture's format, from the content of the file; empty if the format is not known."""
    try:
        with open_image(path) as image:
            name = image.format
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return ""
    suffixes = [suffix for suffix, format_name in Image.registered_extensions().items() if format_name == name]
    return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tiff", "PPM": ".ppm"}.get(name, suffixes[0] if suffixes else "")
