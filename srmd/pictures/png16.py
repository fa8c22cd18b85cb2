"""PNG of 16 bits a colour, or of 16-bit grey with transparency, which Pillow cuts to 8."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.pictures.picture import Picture

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_RGB, PNG_GREY_ALPHA, PNG_RGB_ALPHA = 2, 4, 6  # kinds of colour
PNG_UP = 2  # the filter of a row that is stored less the one above
PNG_ROWS = 256


def is_16_bit_png(path: Path) -> bool:
    """Whether it is a PNG of 16 bits that Pillow cuts to 8: of all kinds but grey without alpha."""
    with path.open("rb") as file:
        header = file.read(26)
    return header[:8] == PNG_SIGNATURE and header[24] == 16 and header[25] in (PNG_RGB, PNG_GREY_ALPHA, PNG_RGB_ALPHA)


def with_16_bits(picture: Picture, path: Path, orientation: int) -> Picture:
    """The picture as Pillow read it, with all 16 bits of its pixels."""
    from torchvision.io import ImageReadMode, decode_image  # costs seconds

    channels = decode_image(str(path), ImageReadMode.UNCHANGED).numpy()  # (2 to 4, H, W)
    grey = len(channels) == 2
    pixels = np.repeat(channels[:1], 3, 0) if grey else channels[:3]
    return replace(picture, pixels=_upright(pixels.transpose(1, 2, 0), orientation), grey=grey)


def _upright(pixels: NDArray, orientation: int) -> NDArray:
    """(H, W, 3) turned as `ImageOps.exif_transpose` turns pictures, by EXIF's numbers 1 to 8."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else pixels)


def resize_alpha(alpha: NDArray[np.uint8], picture: NDArray) -> Image.Image:
    return Image.fromarray(alpha).resize(picture.shape[1::-1], Image.Resampling.BICUBIC)


def encode_16_bit_png(levels: NDArray[np.uint16], like: Picture) -> bytes:
    """A PNG of 16 bits, as its specification (W3C, third edition) has it; each row less the one above."""
    height, width = levels.shape[:2]
    kind = PNG_RGB if like.alpha is None else PNG_GREY_ALPHA if like.grey else PNG_RGB_ALPHA
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    chunks += [(b"iCCP", b"ICC profile\0\0" + zlib.compress(like.icc))] if like.icc else []
    chunks += [(b"eXIf", like.exif.removeprefix(b"Exif\0\0"))] if like.exif else []
    chunks += [(b"IDAT", _compressed_rows(levels, like)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return PNG_SIGNATURE + b"".join(parts)


def _compressed_rows(levels: NDArray[np.uint16], like: Picture) -> bytes:
    """Some rows at a time, for each step of it is as large as the picture."""
    alpha = None if like.alpha is None else np.asarray(resize_alpha(like.alpha, levels)) * np.uint16(257)
    deflate, above, parts = zlib.compressobj(), np.uint8(0), []
    for top in range(0, len(levels), PNG_ROWS):
        strip = levels[top : top + PNG_ROWS]
        strip = strip if alpha is None else np.dstack([strip, alpha[top : top + PNG_ROWS]])
        rows = strip.astype(">u2").reshape(len(strip), -1).view(np.uint8)
        filtered = np.vstack([rows[:1] - above, np.diff(rows, axis=0)])  # bytes, that wrap around
        above = rows[-1]
        parts.append(deflate.compress(np.insert(filtered, 0, PNG_UP, axis=1).tobytes()))
    return b"".join([*parts, deflate.flush()])
