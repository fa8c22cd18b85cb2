"""PNG files with 16 bits per channel in RGB, RGBA or grey with alpha, which Pillow would reduce to 8 bits."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.pictures.picture import Picture

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types in the header of a PNG.
PNG_RGB = 2
PNG_GREY_ALPHA = 4
PNG_RGB_ALPHA = 6
PNG_UP = 2  # the filter "up", which stores each row as its difference from the row above
UINT8_TO_UINT16 = np.uint16(257)  # 65535 / 255
ROWS_PER_STRIP = 256  # rows that are filtered and compressed at once


def is_16_bit_png(path: Path) -> bool:
    """Whether the file is a PNG of 16 bits that Pillow would reduce to 8: RGB, RGBA or grey with alpha."""
    with path.open("rb") as file:
        header = file.read(26)
    if header[:8] != PNG_SIGNATURE:
        return False
    bit_depth, colour_type = header[24:26]
    return bit_depth == 16 and colour_type in (PNG_RGB, PNG_GREY_ALPHA, PNG_RGB_ALPHA)


def with_16_bits(picture: Picture, path: Path, orientation: int) -> Picture:
    """A picture that Pillow read from a 16-bit PNG, with uint16 pixels in place of uint8.

    `orientation` is the EXIF orientation of the file, 1 to 8.
    """
    from torchvision.io import ImageReadMode, decode_image  # importing torchvision takes seconds

    channels = decode_image(str(path), ImageReadMode.UNCHANGED).numpy()  # (2 to 4, H, W)
    grey = len(channels) == 2
    pixels = np.repeat(channels[:1], 3, 0) if grey else channels[:3]
    return replace(picture, pixels=_upright(pixels.transpose(1, 2, 0), orientation), grey=grey)


def _upright(pixels: NDArray, orientation: int) -> NDArray:
    """Pixels (H, W, 3) turned and flipped by their EXIF orientation, as `ImageOps.exif_transpose` does."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else pixels)


def resize_alpha(alpha: NDArray[np.uint8], picture: NDArray) -> Image.Image:
    """Alpha (h, w) resized bicubically to the height and width of a picture (H, W, C)."""
    return Image.fromarray(alpha).resize(picture.shape[1::-1], Image.Resampling.BICUBIC)


def encode_16_bit_png(pixels: NDArray[np.uint16], source: Picture) -> bytes:
    """A PNG file (W3C specification, third edition) of pixels (H, W, 3), or (H, W, 1) if `source` is grey.

    Alpha (resized), ICC profile and EXIF are those of `source`.
    """
    height, width = pixels.shape[:2]
    colour_type = PNG_GREY_ALPHA if source.grey else PNG_RGB_ALPHA
    if source.alpha is None:
        colour_type = PNG_RGB  # grey without alpha is never encoded here, because Pillow writes it
    parts = [PNG_SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))]
    if source.icc:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(source.icc)))
    if source.exif:
        parts.append(_chunk(b"eXIf", source.exif.removeprefix(b"Exif\0\0")))
    parts += [_chunk(b"IDAT", _compressed_rows(pixels, source)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _compressed_rows(pixels: NDArray[np.uint16], source: Picture) -> bytes:
    """The filtered and compressed rows of a PNG, computed strip by strip to save memory."""
    alpha = None
    if source.alpha is not None:
        alpha = np.asarray(resize_alpha(source.alpha, pixels)) * UINT8_TO_UINT16
    deflate, row_above, parts = zlib.compressobj(), np.uint8(0), []
    for top in range(0, len(pixels), ROWS_PER_STRIP):
        strip = pixels[top : top + ROWS_PER_STRIP]
        if alpha is not None:
            strip = np.dstack([strip, alpha[top : top + ROWS_PER_STRIP]])
        rows = strip.astype(">u2").reshape(len(strip), -1).view(np.uint8)
        filtered = np.vstack([rows[:1] - row_above, np.diff(rows, axis=0)])  # modulo 256, as PNG defines it
        row_above = rows[-1]
        parts.append(deflate.compress(np.insert(filtered, 0, PNG_UP, axis=1).tobytes()))
    return b"".join([*parts, deflate.flush()])
