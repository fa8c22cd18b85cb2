"""libjpeg's accurate integer DCT and its inverse (islow; jfdctint.c, jidctint.c), and quantisation between them.

Each of the two passes of a transform is a product with one matrix of integers, rounded. The integers are held in
float64, which represents all of them, and all sums of them, exactly.
"""

from functools import lru_cache

import torch
from torch import Tensor

# 2^13 · √8 · DCT: libjpeg's constants of 13 bits, summed as its code adds the products. Rows are frequencies. The even
# rows are symmetric, the odd ones antisymmetric; here are their first halves.
HALF_ROWS = (
    (8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260),
    (10703, 4433, -4433, -10703),
    (9633, -2259, -11362, -6436),
    (8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633),
    (4433, -10704, 10704, -4433),
    (2260, -6436, 9633, -11363),
)
CONST_BITS = 13  # of the matrix
PASS1_BITS = 2  # by which the values between two passes are multiplied, to keep their fractions


def compress_blocks(blocks: Tensor, tables: Tensor) -> Tensor:
    """Blocks of samples minus 128, (…, 8, 8) float64, transformed, quantised and transformed back.

    `tables` are quantisation tables, row by row, that broadcast to the blocks. The result is not clipped to 8 bits.
    """
    steps = tables.mT
    levels = _quantise(_forward(blocks), steps)
    return _inverse(levels * steps)


def _forward(blocks: Tensor) -> Tensor:
    """The coefficients of blocks, times 8, transposed."""
    matrix = dct_matrix(blocks.device)
    rows = _descale(blocks @ matrix.T, CONST_BITS - PASS1_BITS)
    return _descale(rows.mT @ matrix.T, CONST_BITS + PASS1_BITS)


def _quantise(coefficients: Tensor, steps: Tensor) -> Tensor:
    """Coefficients, times 8, divided by their steps and rounded, halves away from 0."""
    levels = coefficients / (8 * steps)
    return (levels + 0.5 * levels.sign()).trunc()


def _inverse(coefficients: Tensor) -> Tensor:
    """The blocks of transposed coefficients."""
    matrix = dct_matrix(coefficients.device)
    columns = _descale(coefficients @ matrix, CONST_BITS - PASS1_BITS)
    return _descale(columns.mT @ matrix, CONST_BITS + PASS1_BITS + 3)  # 3 bits: the matrix is √8 times the DCT


def _descale(values: Tensor, bits: int) -> Tensor:
    """Values divided by 2^bits and rounded, halves up."""
    return (values * 2.0**-bits + 0.5).floor()


@lru_cache(maxsize=8)
def dct_matrix(device: torch.device) -> Tensor:
    """The matrix (8, 8) of one pass, in float64."""
    left = torch.tensor(HALF_ROWS, dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)[:, None]
    return torch.cat([left, signs * left.flip(1)], 1).to(device)
