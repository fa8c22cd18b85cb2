"""libjpeg's conversion between RGB and YCbCr, as matrices of integers (jccolor.c, jdcolor.c; ITU-T T.871)."""

import numpy as np
from numpy.typing import NDArray

SCALE = 2**16  # the matrices are multiplied by this and rounded
HALF = 2**15
# RGB → Y, Cb, Cr. Values are (matrix · RGB + offset) / SCALE, rounded down.
TO_YCBCR = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
TO_YCBCR_OFFSET = (HALF, 128 * SCALE + HALF - 1, 128 * SCALE + HALF - 1)
# Y, Cb - 128, Cr - 128 → RGB. Values are (matrix · YCbCr + HALF) / SCALE, rounded down and clipped.
TO_RGB = ((SCALE, 0, 91881), (SCALE, -22554, -46802), (SCALE, 116130, 0))


def rgb_to_ycbcr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) as YCbCr, equal to libjpeg's to the bit."""
    scaled = rgb.astype(np.int64) @ np.array(TO_YCBCR).T + np.array(TO_YCBCR_OFFSET)
    return (scaled // SCALE).astype(np.uint8)
