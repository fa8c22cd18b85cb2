"""PNG files with 16 bits per channel in RGB, RGBA or grey with alpha, which Pillow would reduce to 8 bits."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.pictures.picture import ROWS_PER_STRIP, Picture, change_depth, upright
from srmd.pictures.png_check import plain_png
from srmd.pictures.png_chunks import (
    PNG_GREY_ALPHA,
    PNG_RGB,
    PNG_RGB_ALPHA,
    PNG_SIGNATURE,
    PngHeader,
    png_chunk,
)

PNG_UP = 2  # the filter "up", which stores each row as its difference from the row above


def with_16_bits(picture: Picture, png: PngHeader, path: Path, orientation: int) -> Picture:
    """A picture that Pillow read from a PNG, with uint16 pixels and alpha if Pillow reduced them from 16 bits.

    `orientation` is the EXIF orientation of the file, 1 to 8.
    """
    if png.bit_depth != 16 or png.colour_type not in (PNG_RGB, PNG_GREY_ALPHA, PNG_RGB_ALPHA):
        return picture
    import torch
    from torchvision.io import ImageReadMode, decode_image  # importing torchvision takes seconds

    content = torch.frombuffer(bytearray(plain_png(path)), dtype=torch.uint8)
    channels = decode_image(content, ImageReadMode.UNCHANGED).numpy().transpose(1, 2, 0)  # (H, W, 2 to 4)
    channels = upright(channels, orientation)
    pixels, alpha = channels, None
    if png.colour_type != PNG_RGB:
        pixels, alpha = channels[..., :-1], channels[..., -1]
    elif len(png.transparent_colour) == 3:
        is_transparent = (pixels == np.array(png.transparent_colour, np.uint16)).all(2)
        alpha = np.where(is_transparent, 0, 65535).astype(np.uint16)
    return replace(picture, pixels=np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels, alpha=alpha)


def encode_16_bit_png(pixels: NDArray[np.uint16], alpha: NDArray | None, metadata: bytes) -> list[bytes]:
    """The parts of a PNG file of pixels (H, W, 3), or (H, W, 1) if there is an alpha (H, W), uint8 or uint16.

    `metadata` is its chunks between the header and the pixels. Grey without alpha is never encoded here, because Pillow
    writes it.
    """
    height, width, channels = pixels.shape
    colour_type = PNG_RGB
    if alpha is not None:
        colour_type = PNG_GREY_ALPHA if channels == 1 else PNG_RGB_ALPHA
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    rows = _compressed_rows(pixels, alpha)
    return [PNG_SIGNATURE, header, metadata, png_chunk(b"IDAT", rows), png_chunk(b"IEND", b"")]


def _compressed_rows(pixels: NDArray[np.uint16], alpha: NDArray | None) -> bytes:
    """The filtered and compressed rows of a PNG, computed strip by strip to save memory."""
    deflate, row_above, parts = zlib.compressobj(), np.uint8(0), []
    for top in range(0, len(pixels), ROWS_PER_STRIP):
        strip = pixels[top : top + ROWS_PER_STRIP]
        if alpha is not None:
            strip = np.dstack([strip, change_depth(alpha[top : top + ROWS_PER_STRIP], np.uint16)])
        rows = strip.astype(">u2").reshape(len(strip), -1).view(np.uint8)
        filtered = np.vstack([rows[:1] - row_above, np.diff(rows, axis=0)])  # modulo 256, as PNG defines it
        row_above = rows[-1]
        parts.append(deflate.compress(np.insert(filtered, 0, PNG_UP, axis=1).tobytes()))
    return b"".join([*parts, deflate.flush()])
