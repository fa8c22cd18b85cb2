"""`Picture`: the content of a picture file; conversion of pixels between integers and floats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Picture:
    """The content of a picture file, turned upright by its EXIF orientation.

    `pixels` is (H, W, 3), RGB, uint8 or uint16; `alpha` is (H, W) uint8, None if the picture is opaque. `grey` says
    that the file has one colour channel; the three channels of `pixels` are then equal. `icc` is the colour profile,
    `exif` the EXIF data without the orientation.
    """

    pixels: NDArray
    alpha: NDArray[np.uint8] | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None

    def as_floats(self) -> NDArray[np.float64]:
        """The pixels as floats, (H, W, 3) in 0 to 1, without alpha."""
        return as_floats(self.pixels)

    def empty_result(self, scale: int) -> NDArray:
        """An uninitialised array for the restored picture, in the dtype of `pixels`.

        Its shape is (s·H, s·W, 3), or (s·H, s·W, 1) if the picture is grey.
        """
        height, width, _ = self.pixels.shape
        return np.empty((scale * height, scale * width, 1 if self.grey else 3), self.pixels.dtype)


def as_floats(pixels: NDArray) -> NDArray[np.floating]:
    """Unsigned integers scaled to float64 in 0 to 1; floats are returned unchanged."""
    return pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels


def quantise(rgb: NDArray, dtype: np.dtype, grey: bool = False) -> NDArray:
    """Floats (H, W, 3), clipped to 0 to 1, scaled and rounded to uint8 or uint16.

    If `grey`, the result is the mean of the three channels, (H, W, 1).
    """
    colours = np.clip(rgb, 0, 1)
    if grey:
        colours = colours.mean(2, keepdims=True)
    return np.rint(colours * np.iinfo(dtype).max).astype(dtype)
