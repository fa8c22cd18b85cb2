"""Flat areas of LR, which stay as they are, and tell nothing about blur and noise."""

import numpy as np
from numpy.typing import NDArray


def flat_areas(lr: NDArray, radius: int) -> NDArray[np.bool_]:
    """Where LR (h, w, 3) has one colour in all rows and columns within `radius` pixels, (h, w).

    At the edges of the picture only the pixels inside it count. Every blur keeps a flat area flat, so that SR has the
    colour of LR there. The networks take it for that colour too, but for the edges of pictures, where their
    convolutions put zeros: these mean black to them.
    """
    changes = _changes(lr)
    if changes.all():
        return ~changes
    from scipy.ndimage import maximum_filter

    return ~maximum_filter(changes, 2 * radius + 1, mode="constant", cval=False)


def flat_share(lr: NDArray) -> float:
    """The share of the pixels of LR (h, w, 3) that have the colour of their four neighbours, 0 to 1."""
    return 1 - float(_changes(lr).mean())


def without_bars(lr: NDArray) -> NDArray:
    """LR (h, w, 3) without the rows and columns of one colour along its edges, as letterboxes and margins have them.

    A picture of one colour is returned as it is.
    """
    rest = lr
    for _ in range(8):  # each side twice, because bars at the sides hide those above and below
        bar = next((number for number, row in enumerate(rest) if (row != row[0]).any()), None)
        if bar is None:
            return lr
        rest = np.rot90(rest[bar:])
    return rest


def _changes(lr: NDArray) -> NDArray[np.bool_]:
    """Where a pixel of LR (h, w, 3) differs from the one above, below, on its left or on its right, (h, w)."""
    changes = np.zeros(lr.shape[:2], bool)
    right = (lr[:, 1:] != lr[:, :-1]).any(-1)
    down = (lr[1:] != lr[:-1]).any(-1)
    changes[:, 1:] |= right
    changes[:, :-1] |= right
    changes[1:] |= down
    changes[:-1] |= down
    return changes
