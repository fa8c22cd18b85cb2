"""Flat areas of LR, which stay as they are."""

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
