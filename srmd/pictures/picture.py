"""`Picture`: the content of a picture file; conversion of pixels between integers and floats."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from srmd.jpeg.tables import JpegTables

ROWS_PER_STRIP = 256  # rows that are compared at once, so that no copy of a large picture is made


@dataclass(frozen=True)
class Metadata:
    """What a picture file says besides its pixels, as far as it is written to a result.

    `icc` is the colour profile, which fits the picture's channels; `exif` the EXIF data without the orientation; `xmp`
    the XMP packet; `iptc` the IPTC data; `comment` that of a JPEG, GIF or JPEG 2000, in an encoding that the file does
    not state; `dpi` the resolution in pixels per inch along both axes. `png_chunks` are the name and the data of the
    chunks of a PNG that describe colours or hold text.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    comment: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """The content of a picture file, turned upright by its EXIF orientation.

    `pixels` is (H, W, 3), RGB, uint8 or uint16; `alpha` is (H, W) uint8 or uint16, None if the picture is opaque.
    `grey` says that the file has one colour channel; the three channels of `pixels` are then equal. `warnings` say what
    of the file was left out or converted. `jpeg` are the tables of a JPEG, also of JPEG data in a TIFF; None for other
    formats.
    """

    pixels: NDArray
    alpha: NDArray | None = None
    grey: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    jpeg: JpegTables | None = None

    def as_floats(self) -> NDArray[np.float64]:
        """The pixels as floats, (H, W, 3) in 0 to 1, without alpha."""
        return as_floats(self.pixels)


def as_floats(pixels: NDArray) -> NDArray[np.floating]:
    """Unsigned integers scaled to float64 in 0 to 1; floats are returned unchanged."""
    return pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels


def has_equal_channels(pixels: NDArray) -> bool:
    """Whether the channels of a picture (H, W, C) are equal in every pixel."""
    strips = (pixels[top : top + ROWS_PER_STRIP] for top in range(0, len(pixels), ROWS_PER_STRIP))
    return all((strip == strip[..., :1]).all() for strip in strips)


def quantise(rgb: NDArray, dtype: np.dtype, grey: bool = False) -> NDArray:
    """Floats (H, W, C) or (H, W), clipped to 0 to 1, scaled and rounded to uint8 or uint16.

    If `grey`, the result is the mean of the channels, (H, W, 1).
    """
    colours = np.clip(rgb, 0, 1)
    if grey:
        colours = colours.mean(2, keepdims=True)
    return np.rint(colours * np.iinfo(dtype).max).astype(dtype)


def change_depth(values: NDArray, dtype: np.dtype) -> NDArray:
    """Unsigned integers scaled to the range of another unsigned type, uint8 or uint16, and rounded."""
    return values if values.dtype == dtype else quantise(as_floats(values), dtype)


def upright(pixels: NDArray, orientation: int) -> NDArray:
    """Pixels (H, W, C) turned and flipped by their EXIF orientation, as `ImageOps.exif_transpose` does."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.transpose(1, 0, 2) if orientation in (5, 6, 7, 8) else pixels)
