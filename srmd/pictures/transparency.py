"""Transparent pictures: the colours of invisible pixels, and the pixels in which alpha is constant."""

import numpy as np
from numpy.typing import NDArray

MIN_VISIBLE = 8 / 255  # alpha below which a colour is partly replaced: composited, it changes by 3 of 255 at most
ROWS_PER_STRIP = 256  # rows that are filled at once, to save memory
MARGIN = 64  # rows around a strip in which visible pixels are searched, many more than a network's receptive field
CONSTANT_WINDOW = 5  # LR pixels


def spread_visible_colours(pixels: NDArray, alpha: NDArray) -> NDArray:
    """A picture (H, W, 3) in which transparent pixels have the colour of the nearest visible pixel.

    A network and a blur mix neighbouring pixels, and files store any colour where alpha is 0: it would show at the
    edges of what is visible. Alpha (H, W) holds unsigned integers or floats in 0 to 1. Pixels with an alpha of at least
    MIN_VISIBLE are visible and keep their colour. Below, the colour is mixed with that of the nearest visible pixel;
    its own weight is (alpha / MIN_VISIBLE)². If no pixel is visible so, those of the largest alpha are.
    """
    opacity = alpha / np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else alpha
    threshold = min(MIN_VISIBLE, opacity.max())
    if threshold <= 0 or opacity.min() >= threshold:
        return pixels
    filled = pixels.copy()
    for top in range(0, len(pixels), ROWS_PER_STRIP):
        first = max(top - MARGIN, 0)
        rows = slice(first, top + ROWS_PER_STRIP + MARGIN)
        _fill_rows(filled[top : top + ROWS_PER_STRIP], pixels[rows], opacity[rows], top - first, threshold)
    return filled


def _fill_rows(filled: NDArray, pixels: NDArray, opacity: NDArray, offset: int, threshold: float) -> None:
    """Changes the rows `filled`, which begin at the row `offset` of `pixels`."""
    from scipy.ndimage import distance_transform_edt

    visible = opacity >= threshold
    if visible.all() or not visible.any():
        return
    nearest = distance_transform_edt(~visible, return_distances=False, return_indices=True)  # (2, rows, W)
    inside = slice(offset, offset + len(filled))
    row, column = np.nonzero(~visible[inside])
    source_row, source_column = nearest[:, inside][:, row, column]
    weight = (opacity[inside][row, column] / threshold)[:, None] ** 2
    mixed = weight * filled[row, column] + (1 - weight) * pixels[source_row, source_column]
    filled[row, column] = np.rint(mixed) if filled.dtype.kind == "u" else mixed


def is_constant(values: NDArray) -> NDArray[np.bool_]:
    """Whether each value (H, W) equals all values in the 5×5 pixels around it."""
    from scipy.ndimage import maximum_filter, minimum_filter

    largest, smallest = (filtered(values, CONSTANT_WINDOW) for filtered in (maximum_filter, minimum_filter))
    return largest == smallest
