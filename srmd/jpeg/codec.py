"""JPEG compression of patches on their device, equal to libjpeg's to the bit: no file, and no copy to the CPU.

libjpeg's steps are products with matrices of integers, each followed by rounding. The integers are held in float64,
which represents them exactly. All patches of a batch go through the same operations, whatever their subsampling.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.jpeg.colour import HALF, SCALE, TO_RGB, TO_YCBCR, TO_YCBCR_OFFSET
from srmd.jpeg.dct import compress_blocks
from srmd.jpeg.resampling import (
    DOWN_BIAS,
    UP_BIAS_COLUMNS,
    UP_BIAS_ROWS,
    alternating,
    down_matrix,
    is_fancy,
    planes_table,
    up_matrix,
)
from srmd.jpeg.tables import CHROMA_FACTORS, MAX_ENTRY, SUBSAMPLINGS

BLOCK = 8  # side of a block
GRID = 16  # side of the part of a picture that its grid repeats: two blocks, because chroma may have half the pixels
# For each of SUBSAMPLINGS, numbers of Y, Cb and Cr, (4, 3, 2)
_FACTORS, _DOWN_BIAS = planes_table(CHROMA_FACTORS), planes_table(DOWN_BIAS)
_UP_BIAS_ROWS, _UP_BIAS_COLUMNS = planes_table(UP_BIAS_ROWS), planes_table(UP_BIAS_COLUMNS)


class Compression(NamedTuple):
    """The JPEG compression of n pictures of a batch; its tensors are on the device of the pictures."""

    samples: Tensor  # (n,) int64, the numbers of the pictures in the batch
    tables: Tensor  # (n, 2, 64) int64, luma and chroma, 1 to 255
    planes: Tensor  # (n, 3, 8) int64: of Y, Cb and Cr the factors of subsampling and the biases, two of each
    offsets: Tensor  # (n, 2) int64, rows and columns of the first block that lie outside of the picture, 0 to 15

    @classmethod
    def of_arrays(
        cls,
        samples: NDArray[np.int64],
        tables: NDArray[np.int64],
        subsamplings: list[str],
        offsets: NDArray[np.int64],
    ) -> "Compression":
        """The compression of these pictures on the CPU; each has its tables, subsampling and grid offset."""
        numbers = torch.tensor([[*SUBSAMPLINGS].index(each) for each in subsamplings], dtype=torch.int64)
        constants = torch.cat([_FACTORS, _DOWN_BIAS, _UP_BIAS_ROWS, _UP_BIAS_COLUMNS], -1)
        entries = torch.from_numpy(np.clip(tables, 1, MAX_ENTRY))
        return cls(torch.from_numpy(samples), entries, constants[numbers], torch.from_numpy(offsets))


def compress(pictures: Tensor, compression: Compression) -> Tensor:
    """RGB pictures (N, 3, H, W), of which those of the compression are clipped, rounded, encoded and decoded."""
    chosen = pictures[compression.samples].clamp(0, 1).mul(255).round()
    if pictures.device.type == "mps":  # Apple's GPUs have no float64
        decoded = _encode_and_decode(chosen.cpu().double(), Compression(*(each.cpu() for each in compression)))
    else:
        decoded = _encode_and_decode(chosen.double(), compression)
    return pictures.index_copy(0, compression.samples, (decoded / 255).to(pictures))


def _encode_and_decode(rgb: Tensor, compression: Compression) -> Tensor:
    """RGB (n, 3, H, W), integers from 0 to 255 in float64, compressed."""
    factors, down_bias, up_bias_rows, up_bias_columns = compression.planes.split(2, -1)
    row_offset, column_offset = compression.offsets[:, :1], compression.offsets[:, 1:]
    height, width = rgb.shape[-2:]
    plane_height, plane_width = (GRID * ceil_div(size + GRID - 1, GRID) for size in (height, width))
    rows = height, plane_height, factors[..., 0], row_offset
    columns = width, plane_width, factors[..., 1], column_offset

    sums = down_matrix(*rows, is_row=True) @ _to_ycbcr(rgb) @ down_matrix(*columns, is_row=False).mT
    planes = ((sums + alternating(down_bias, plane_width)[..., None, :]) / 4).floor()
    decoded = _through_blocks(planes, compression.tables)

    fancy = is_fancy(width, factors, column_offset)
    sums = up_matrix(*rows, fancy) @ decoded @ up_matrix(*columns, fancy).mT
    biased = sums + alternating(up_bias_rows, height, row_offset[..., None])[..., None]
    biased = biased + alternating(up_bias_columns, width, column_offset[..., None])[..., None, :]
    return _to_rgb((biased / 16).floor())


def _through_blocks(planes: Tensor, tables: Tensor) -> Tensor:
    """Planes Y, Cb, Cr (n, 3, H, W), 0 to 255, each block transformed, quantised and transformed back."""
    count, _, height, width = planes.shape
    tables = torch.cat([tables, tables[:, 1:]], 1).view(count, 3, 1, 1, BLOCK, BLOCK).double()
    blocks = (planes - 128).view(count, 3, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    decoded = compress_blocks(blocks, tables).transpose(3, 4).reshape(planes.shape)
    return (decoded + 128).clamp(0, 255)


def _to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (n, 3, H, W) as YCbCr."""
    matrix, offset = _constant(TO_YCBCR, rgb.device), _constant(TO_YCBCR_OFFSET, rgb.device)
    return ((matrix @ rgb.flatten(2) + offset[:, None]) / SCALE).floor().view_as(rgb)


def _to_rgb(ycbcr: Tensor) -> Tensor:
    """YCbCr (n, 3, H, W) as RGB."""
    matrix, centre = _constant(TO_RGB, ycbcr.device), _constant((0, 128, 128), ycbcr.device)
    rgb = ((matrix @ (ycbcr.flatten(2) - centre[:, None]) + HALF) / SCALE).floor()
    return rgb.clamp(0, 255).view_as(ycbcr)


@lru_cache(maxsize=32)
def _constant(values: tuple, device: torch.device) -> Tensor:
    """Numbers as float64 on a device, copied there once: each copy would wait for the GPU's work."""
    return torch.tensor(values, dtype=torch.float64, device=device)
