"""Crops of HR pictures that benchmarks score."""

from numpy.typing import NDArray


def middle(picture: NDArray, side: int) -> NDArray:
    """The middle of a picture (H, W, …), at most `side` pixels on each side."""
    top, left = (max(length - side, 0) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def modcrop_picture(picture: NDArray, scale: int) -> NDArray:
    """A picture (H, W, …) cropped at the bottom and at the right to multiples of the scale.

    This is `srmd.degradation.modcrop` for arrays, whose first two axes are rows and columns; of tensors these are the
    last two.
    """
    height, width = (length - length % scale for length in picture.shape[:2])
    return picture[:height, :width]
