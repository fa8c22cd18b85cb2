"""Whether the compression of a picture file is lossy."""

from pathlib import Path

from PIL import Image

from srmd.config import MAX_PIXELS
from srmd.pictures.files import open_image

LOSSY_FORMATS = {"JPEG", "MPO", "JPEG2000", "AVIF"}  # JPEG 2000 and AVIF can be lossless, but hardly ever are
LOSSY_TIFF = {"jpeg", "tiff_jpeg", "webp"}  # Pillow's names of compressions inside TIFF


def is_lossy(path: Path, max_pixels: int = MAX_PIXELS) -> bool:
    """Return whether a picture of at most `max_pixels` pixels that can be read is stored in a lossy format.

    What was done to the picture before is not in the file: a PNG that was made from a JPEG counts as lossless.
    """
    with open_image(path, max_pixels) as image:
        return _is_lossy(image, path)


def _is_lossy(image: Image.Image, path: Path) -> bool:
    if image.format == "WEBP":
        return _has_lossy_webp_data(path.read_bytes())
    if image.format == "TIFF":
        return image.info.get("compression") in LOSSY_TIFF
    return image.format in LOSSY_FORMATS


def _has_lossy_webp_data(data: bytes) -> bool:
    """Return whether a WebP file holds a lossy frame: a chunk VP8, on the top level or in a frame of an animation."""
    position = 12  # after RIFF, the file's size and WEBP
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name == b"VP8 ":
            return True
        header = 16 if name == b"ANMF" else size + size % 2  # a frame's chunks follow its 16 bytes
        position += 8 + header
    return False
