"""libjpeg-turbo's subsampling of chroma and its "fancy" upsampling (jcsample.c, jdsample.c), as matrices per axis.

A plane of a JPEG begins at the grid of blocks, up to 15 pixels above and to the left of the patch; pixels outside of
the patch are those of its edge. All values are sums of 4 pixels (when a plane is made) or of 16 (when it is enlarged),
also where nothing is subsampled; `bias` is added before they are divided by 4 or 16 and rounded down.
"""

import torch
from torch import Tensor

from srmd.jpeg.tables import SUBSAMPLINGS

# Bias of sums of 4 pixels in even and odd columns of chroma. libjpeg alternates it, so that the mean is not changed.
DOWN_BIAS = {"4:4:4": (0, 0), "4:2:2": (0, 2), "4:4:0": (2, 2), "4:2:0": (1, 2)}
# Bias of sums of 16 pixels in even and odd rows of the picture, and in even and odd columns
UP_BIAS_ROWS = {"4:4:4": (0, 0), "4:2:2": (0, 0), "4:4:0": (4, 8), "4:2:0": (0, 0)}
UP_BIAS_COLUMNS = {"4:4:4": (0, 0), "4:2:2": (4, 8), "4:4:0": (0, 0), "4:2:0": (8, 7)}


def planes_table(per_subsampling: dict[str, tuple[int, int]]) -> Tensor:
    """A table of pairs for Y, Cb and Cr of each of SUBSAMPLINGS, (4, 3, 2); Y is never subsampled."""
    luma = per_subsampling["4:4:4"]
    return torch.tensor([[luma, *[per_subsampling[each]] * 2] for each in SUBSAMPLINGS])


def down_matrix(size: int, plane_size: int, factor: Tensor, offset: Tensor, is_row: bool) -> Tensor:
    """The matrix of one axis that makes a plane: (n, 3, plane_size, size) of float64, whose rows have the sum 2.

    `factor` is (n, 3), `offset` is (n, 1). Along rows libjpeg repeats the last row of chroma, along columns the last
    column of the picture, which differs if the last pixel of chroma is a mean of two.
    """
    pixels = torch.arange(plane_size, device=factor.device).expand(*factor.shape, -1)
    if is_row:
        pixels = pixels.minimum(_chroma_size(size, factor, offset)[..., None] - 1)
    first = pixels * factor[..., None] - offset[..., None]
    last = first + factor[..., None] - 1
    return _one_hot(first.clamp(0, size - 1), size).double() + _one_hot(last.clamp(0, size - 1), size)


def up_matrix(size: int, plane_size: int, factor: Tensor, offset: Tensor, is_fancy: Tensor) -> Tensor:
    """The matrix of one axis that enlarges a plane: (n, 3, size, plane_size) of float64, whose rows have the sum 4.

    A pixel is 3/4 of the nearest and 1/4 of the second nearest pixel of the plane; `is_fancy`, (n, 3), is false where
    it is the nearest one alone.
    """
    position = torch.arange(size, device=factor.device) + offset[..., None]
    nearest = position // factor[..., None]
    interpolated = (is_fancy & (factor == 2))[..., None]
    second = torch.where(interpolated, nearest + 2 * (position % 2) - 1, nearest)
    last = _chroma_size(size, factor, offset)[..., None] - 1
    second = second.maximum(torch.zeros_like(last)).minimum(last)
    return 3 * _one_hot(nearest, plane_size).double() + _one_hot(second, plane_size)


def is_fancy(width: int, factors: Tensor, offset: Tensor) -> Tensor:
    """Whether libjpeg enlarges planes with interpolation, (n, 3): not those of one or two columns.

    `factors` is (n, 3, 2), `offset`, (n, 1), is that of columns.
    """
    return (factors[..., 1] == 1) | (_chroma_size(width, factors[..., 1], offset) > 2)


def _chroma_size(size: int, factor: Tensor, offset: Tensor) -> Tensor:
    """The number of rows or columns of a plane that stand for pixels of the picture: (size + offset) / factor."""
    return (size + offset + factor - 1) // factor


def _one_hot(index: Tensor, size: int) -> Tensor:
    return index[..., None] == torch.arange(size, device=index.device)


def alternating(table: Tensor, size: int, offset: Tensor | int = 0) -> Tensor:
    """The biases of `size` pixels in a row, (n, 3, size), from those of even and odd positions, (n, 3, 2)."""
    positions = torch.arange(size, device=table.device) + offset
    return torch.where(positions % 2 == 0, table[..., :1], table[..., 1:])
