"""Resizes restored pictures to their final size by MATLAB's bicubic, strip by strip."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.degradation import resize_taps
from srmd.pictures.picture import as_floats, quantise

BLOCK = 128  # output rows that are computed at once


def resize_picture(pixels: NDArray, size: tuple[int, int], dtype: np.dtype) -> NDArray:
    """`imresize` of a picture (H, W, C), uint8 or uint16, to `size` (height, width), rounded to `dtype`.

    An output row depends on few input rows, so that blocks of rows take little memory, and little time: the product
    with the whole matrix of `imresize` would mostly multiply by zeros.
    """
    height, width = size
    result = np.empty((height, width, pixels.shape[2]), dtype)
    columns = list(_blocks(pixels.shape[1], width))
    for block, used, weights in _blocks(pixels.shape[0], height):
        strip = torch.from_numpy(as_floats(pixels[used]).astype(np.float32)).permute(2, 0, 1)  # (C, rows, W)
        strip = weights @ strip
        resized = torch.cat([strip[..., used] @ weights.T for _, used, weights in columns], 2)
        result[block] = quantise(resized.permute(1, 2, 0).numpy(), dtype)
    return result


def _blocks(size: int, new_size: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks of new pixels along an axis, the old pixels that they depend on, and the part of `imresize`'s matrix."""
    taps, weights = resize_taps(size, new_size)
    for start in range(0, new_size, BLOCK):
        block_taps, block_weights = taps[start : start + BLOCK], weights[start : start + BLOCK]
        first, last = block_taps.min(), block_taps.max()
        matrix = np.zeros((len(block_taps), last - first + 1), np.float32)
        np.add.at(matrix, (np.arange(len(block_taps))[:, None], block_taps - first), block_weights)
        yield slice(start, start + BLOCK), slice(first, last + 1), torch.from_numpy(matrix)


def final_size(
    size: tuple[int, int], scale: int, outscale: float | None, asked: tuple[int, int] | None
) -> tuple[int, int]:
    """The height and width of a result.

    Args:
        size: height and width of LR.
        scale: of the network.
        outscale: the factor that is asked for, None for `scale`.
        asked: the width and height that are asked for, instead of a factor.
    """
    if asked:
        return asked[1], asked[0]
    height, width = (max(round(side * (outscale or scale)), 1) for side in size)
    return height, width
