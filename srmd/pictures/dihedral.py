"""The 8 flips and rotations of a picture (the dihedral group of the square), numbered alike for tensors and arrays.

View 0 is the picture itself. Views 1 to 3 turn it by 90°, 180° and 270° counterclockwise. Views 4 to 7 turn it as
views 0 to 3 do and then flip it left to right.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor  # imported for type checks only: pictures are packed without torch

VIEWS = 8


def turn(pictures: "Tensor", view: int) -> "Tensor":
    """Return a view, 0 to 7, of pictures (..., H, W)."""
    turned = pictures.rot90(view % 4, (-2, -1))
    return turned.flip(-1) if view >= 4 else turned


def turn_back(pictures: "Tensor", view: int) -> "Tensor":
    """Undo `turn`."""
    return (pictures.flip(-1) if view >= 4 else pictures).rot90(-(view % 4), (-2, -1))


def turn_array(picture: NDArray, view: int) -> NDArray:
    """Return a view, 0 to 7, of one picture (H, W, ...), without copying its pixels."""
    turned = np.rot90(picture, view % 4)
    return turned[:, ::-1] if view >= 4 else turned


def turn_array_back(picture: NDArray, view: int) -> NDArray:
    """Undo `turn_array`, without copying pixels."""
    return np.rot90(picture[:, ::-1] if view >= 4 else picture, -(view % 4))
