"""Small pictures of many kinds, and functions that save them, for the tests of picture files."""

import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image, ImageCms

HEIGHT = 12
WIDTH = 16
ORIENTATION = 274
MAKER = 271
CAMERA = 34665
GPS = 34853


def colour_image() -> Image.Image:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(4, axis=0).repeat(4, axis=1))


def grey_image() -> Image.Image:
    return colour_image().convert("L")


def alpha_image() -> Image.Image:
    return Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH))


def grey_16_bits() -> np.ndarray:
    return np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)


def save(folder, name: str, image: Image.Image, **options):
    image.save(folder / name, **options)
    return folder / name


def random_16_bits(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)


def save_16_bit_png(path, values: np.ndarray, exif: bytes = b"", exif_behind_pixels: bool = False):
    """Writes a 16-bit PNG with unfiltered rows, by the specification; `values` is (H, W, 2 to 4)."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"eXIf", exif.removeprefix(b"Exif\0\0")),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    if exif_behind_pixels:
        chunks[1], chunks[2] = chunks[2], chunks[1]
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        if data or kind != b"eXIf":
            file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(file)
    return path


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKER], tags[CAMERA], tags[GPS] = orientation, "Maker", {33434: 0.01}, {1: "N"}
    return tags.tobytes()


@cache  # a profile holds its time of creation, so that two are not equal
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
