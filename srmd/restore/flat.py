"""Flat areas of LR, which stay as they are, and tell nothing about blur and noise."""

import numpy as np
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div
from srmd.kernel.families import KERNEL_SIZE
from srmd.model import NetworkConfig

MAX_RANGE = 8.5 / 255  # of the values of a nearly flat area; the half level is for rounding errors


def limits_of_flat_areas(lr: NDArray, radius: int) -> tuple[NDArray, NDArray]:
    """The lowest and highest values that SR may have in flat and nearly flat areas of LR.

    An area is nearly flat where the values of a channel within `radius` rows and columns have a range of at most
    `MAX_RANGE`. SR may exceed the lowest and highest of these values by their range. Every blur keeps a flat area flat,
    so that SR has exactly the colour of LR there.

    Args:
        lr: (h, w, 3), float32 in 0 to 1.
        radius: in LR pixels. At the edges of the picture only the pixels inside it count.

    Returns:
        Two arrays (h, w, 3), float32; minus infinity and infinity where LR is not nearly flat.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    window = (2 * radius + 1, 2 * radius + 1, 1)
    lowest, highest = minimum_filter(lr, window), maximum_filter(lr, window)
    value_range = highest - lowest
    is_flat = value_range <= MAX_RANGE
    infinity = np.float32(np.inf)
    return np.where(is_flat, lowest - value_range, -infinity), np.where(is_flat, highest + value_range, infinity)


def flat_radius(config: NetworkConfig) -> int:
    """The distance from details, in LR pixels, beyond which flat areas keep their colour.

    It is half of the network's kernel window, but at least 7, half of a window of 15×15 at x1.
    """
    return max(KERNEL_SIZE // 2, ceil_div(config.kernel_size // 2, config.scale))


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
