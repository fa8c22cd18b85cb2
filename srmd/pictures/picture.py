"""A picture as it lay in its file, and the levels of its pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it lay in its file, turned upright.

    `pixels` are (H, W, 3), RGB, uint8 or, from 16 bits, uint16; `alpha` is (H, W) uint8. `grey` says that the file
    had one channel; `exif` has no orientation left to apply.
    """

    pixels: NDArray
    alpha: NDArray[np.uint8] | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None

    def to_float(self) -> NDArray[np.float64]:
        """The pixels as (H, W, 3) in 0 to 1; transparency plays no part."""
        return as_floats(self.pixels)

    def empty_result(self, scale: int) -> NDArray:
        """An array for the levels of this picture, `scale` times as large, as a PNG holds them.

        (s·H, s·W, 3), of a grey picture (s·H, s·W, 1); uint8 or uint16, as this picture.
        """
        height, width, _ = self.pixels.shape
        return np.empty((scale * height, scale * width, 1 if self.grey else 3), self.pixels.dtype)


def as_floats(pixels: NDArray) -> NDArray[np.floating]:
    """Whole numbers as float64 in 0 to 1; floats as they are."""
    return pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels


def quantise(rgb: NDArray, dtype: np.dtype, grey: bool = False) -> NDArray:
    """(H, W, 3) in 0 to 1, clipped and rounded to the levels of uint8 or uint16; (H, W, 1) of a grey picture."""
    colours = np.clip(rgb, 0, 1)
    if grey:
        colours = colours.mean(2, keepdims=True)
    return np.rint(colours * np.iinfo(dtype).max).astype(dtype)
