"""Draws img/jpeg.webp: two JPEGs restored by a network that is told of JPEG, and by one that is not.

    python -m benchmarks.jpeg_picture

Each row shows LR, blurred by a Gaussian of width 1 and compressed at quality 50; LR restored by SRMD x2, told the
kernel and noise level 0; LR restored by SRMDJ x2, told the tables, and kernel and noise level as estimated; and HR.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import srmd
from benchmarks.commands import command_parser
from benchmarks.plans import ROOT
from srmd.pictures.photos import builtin_test_pictures

SCALE, QUALITY, KERNEL = 2, 50, "gaussian:1.0"
SIDE, MARGIN = 96, 32  # LR pixels of the part that is shown, and of its surroundings, which are restored too
MIN_SIDE = 400  # HR pixels of a photo
ZOOM = 2
PHOTOS = 2


def row(hr: NDArray) -> NDArray:
    """The row of a photo, (SCALE · SIDE, 4 · SCALE · SIDE, 3)."""
    tables = srmd.JpegTables.of_quality(QUALITY)
    lr = srmd.degrade(hr, KERNEL, 0, SCALE, jpeg=tables)
    top, left = (length // 2 - SIDE // 2 for length in lr.shape[:2])
    part = lr[top - MARGIN : top + SIDE + MARGIN, left - MARGIN : left + SIDE + MARGIN]
    estimate = srmd.estimate(lr, SCALE, jpeg=tables)
    untold = srmd.load("srmd_x2").restore(part, KERNEL, 0)
    told = srmd.load("srmdj_x2").restore(part, estimate.kernel_spec, estimate.noise_level, jpeg=tables)
    enlarged = part.repeat(SCALE, 0).repeat(SCALE, 1)
    inner = slice(SCALE * MARGIN, -SCALE * MARGIN)
    rows, columns = (slice(SCALE * start, SCALE * (start + SIDE)) for start in (top, left))
    return np.concatenate([enlarged[inner, inner], untold[inner, inner], told[inner, inner], hr[rows, columns]], 1)


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    photos = [photo for photo in builtin_test_pictures().values() if min(photo.shape[:2]) >= MIN_SIDE]
    sheet = np.concatenate([row(photo) for photo in photos[:PHOTOS]])
    Image.fromarray(sheet.repeat(ZOOM, 0).repeat(ZOOM, 1)).save(ROOT / "img" / "jpeg.webp", lossless=True, method=6)
