"""Finds the part of a picture with the most detail."""

import numpy as np
from numpy.typing import NDArray

from srmd.pictures.picture import as_floats

BLOCK = 8  # side in pixels of the blocks whose detail is summed


def most_detailed_part(pixels: NDArray, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the part of a picture (H, W, 3) with the largest sum of absolute gradients.

    The part has `height`×`width` pixels, or as many as the picture has. It starts at a multiple of BLOCK pixels.
    """
    rows, columns = min(height, pixels.shape[0]), min(width, pixels.shape[1])
    sums = np.pad(_block_detail(pixels), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    down, right = max(rows // BLOCK, 1), max(columns // BLOCK, 1)
    detail = sums[down:, right:] - sums[:-down, right:] - sums[down:, :-right] + sums[:-down, :-right]
    # A part of which the last block is not whole may not reach over the border.
    detail = detail[: (pixels.shape[0] - rows) // BLOCK + 1, : (pixels.shape[1] - columns) // BLOCK + 1]
    top, left = (BLOCK * int(index) for index in np.unravel_index(detail.argmax(), detail.shape))
    return slice(top, top + rows), slice(left, left + columns)


def _block_detail(pixels: NDArray) -> NDArray[np.float64]:
    """The sum of absolute gradients of the mean of the channels in each block, without blocks that are not whole.

    A picture that is smaller than a block is one block. It is computed strip by strip, so that no copy of a large
    picture is made.
    """
    height, width = (max(side // BLOCK, 1) for side in pixels.shape[:2])
    return np.stack([_strip_detail(pixels[BLOCK * row : BLOCK * (row + 1)], width) for row in range(height)])


def _strip_detail(strip: NDArray, count: int) -> NDArray[np.float64]:
    grey = as_floats(strip).mean(2, dtype=np.float64)
    gradient = np.zeros_like(grey)
    gradient[:, 1:] += np.abs(np.diff(grey, axis=1))
    gradient[1:] += np.abs(np.diff(grey, axis=0))
    return np.add.reduceat(gradient.sum(0)[: BLOCK * count], np.arange(0, BLOCK * count, BLOCK))
