"""TIFF files with 16 bits per channel in RGB or RGBA, which Pillow would reduce to 8 bits.

Pillow and its libtiff read 16-bit grey exactly. So the file is given to them once more with other tags, by which its
interleaved samples are one grey picture that is as many times as wide as there are channels, and each separate plane is
a grey picture of its own.
"""

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from srmd.pictures.picture import Picture, as_floats, quantise, upright
from srmd.pictures.tiff import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    EXTRA_SAMPLES,
    PHOTOMETRIC,
    PLANAR_CONFIGURATION,
    PREMULTIPLIED,
    SAMPLES_PER_PIXEL,
    SEPARATE_PLANES,
    Tags,
    has_16_bit_colours,
    numbers_of,
)

HORIZONTAL_DIFFERENCES = 2  # Predictor: each sample is stored as its difference from the one of the pixel to the left
WIDTH, HEIGHT = ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength
PREDICTOR, FILL_ORDER, TILE_WIDTH = ExifTags.Base.Predictor, ExifTags.Base.FillOrder, ExifTags.Base.TileWidth
# Positions and sizes of the strips or tiles; a value for each, those of the first plane first.
PART_TAGS = (
    ExifTags.Base.StripOffsets,
    ExifTags.Base.StripByteCounts,
    ExifTags.Base.TileOffsets,
    ExifTags.Base.TileByteCounts,
)
UNCHANGED_TAGS = (COMPRESSION, FILL_ORDER, ExifTags.Base.RowsPerStrip, ExifTags.Base.TileLength)
SHORT, LONG = 3, 4  # types of values
MAX_SHORT = 2**16 - 1
BLACK_IS_ZERO = 1
COMPRESSIONS_WITH_PREDICTOR = {5, 8, 32946, 34925, 50000}  # LZW, Deflate under two numbers, LZMA and Zstandard


def with_16_bits(picture: Picture, image: Image.Image, path: Path, orientation: int) -> Picture:
    """A picture that Pillow read from the TIFF `image`, with uint16 pixels and alpha if Pillow reduced them to 8 bits.

    `orientation` is the EXIF orientation of the file, 1 to 8.
    """
    tags = image.tag_v2
    if not has_16_bit_colours(tags):
        return picture
    channels = upright(_read_channels(path, tags), orientation)
    pixels, alpha = channels[..., :3], None
    if picture.alpha is not None:
        alpha = channels[..., 3]
        if PREMULTIPLIED in tags.get(EXTRA_SAMPLES, ()):
            opacity = as_floats(np.maximum(alpha, 1))[..., None]
            pixels = quantise(as_floats(pixels) / opacity, np.uint16)
    return replace(picture, pixels=np.ascontiguousarray(pixels), alpha=alpha)


def _read_channels(path: Path, tags: Tags) -> NDArray[np.uint16]:
    """The samples of a TIFF, (H, W, C)."""
    channels, height, width = tags[SAMPLES_PER_PIXEL], tags[HEIGHT], tags[WIDTH]
    file = path.read_bytes()
    if tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES:
        planes = [_read_grey(_as_grey(file, tags, 1, plane, channels)) for plane in range(channels)]
        values = np.stack(planes, axis=2)
    else:
        values = _read_grey(_as_grey(file, tags, channels)).reshape(height, width, channels)
    if tags.get(PREDICTOR) == HORIZONTAL_DIFFERENCES and tags[COMPRESSION] in COMPRESSIONS_WITH_PREDICTOR:
        part = tags.get(TILE_WIDTH, width)
        for left in range(0, width, part):  # modulo 65536
            columns = values[:, left : left + part]
            np.cumsum(columns, axis=1, dtype=np.uint16, out=columns)
    return values


def _read_grey(file: bytes) -> NDArray[np.uint16]:
    with Image.open(io.BytesIO(file), formats=["TIFF"]) as image:
        return np.array(image, np.uint16)


def _as_grey(file: bytes, tags: Tags, samples: int, plane: int = 0, planes: int = 1) -> bytes:
    """The file with tags that describe one plane as a grey picture; `samples` of it make a pixel."""
    grey = {tag: numbers_of(tags[tag]) for tag in UNCHANGED_TAGS if tag in tags}
    grey |= {WIDTH: (samples * tags[WIDTH],), HEIGHT: (tags[HEIGHT],)}
    grey |= {BITS_PER_SAMPLE: (16,), SAMPLES_PER_PIXEL: (1,), PHOTOMETRIC: (BLACK_IS_ZERO,)}
    if TILE_WIDTH in tags:
        grey[TILE_WIDTH] = (samples * tags[TILE_WIDTH],)
    for tag in PART_TAGS:
        if tag in tags:
            parts = numbers_of(tags[tag])
            count = len(parts) // planes
            grey[tag] = parts[plane * count : (plane + 1) * count]
    return _with_tags(file, grey, "<" if tags.prefix == b"II" else ">")


def _with_tags(file: bytes, tags: dict[int, tuple[int, ...]], order: str) -> bytes:
    """A TIFF of less than 4 GiB with other tags, which are appended to it; `order` is `<` or `>` as in `struct`."""
    start = len(file) + len(file) % 2  # directories begin at even positions
    values_at, values, entries = start + 2 + 12 * len(tags) + 4, b"", b""
    for tag, numbers in sorted(tags.items()):
        kind, code = (SHORT, "H") if max(numbers) <= MAX_SHORT else (LONG, "I")
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            position = struct.pack(f"{order}I", values_at + len(values))
            values, packed = values + packed + b"\0" * (len(packed) % 4), position
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return header + file[len(header) :].ljust(start - len(header), b"\0") + directory + values
