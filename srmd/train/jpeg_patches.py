"""JPEG compression of the patches that estimators are trained on."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.jpeg.codec import GRID
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.train.jpegs import SUBSAMPLING_SHARES

QUALITIES = ((5, 30), (30, 100), (80, 100))  # ranges, with the shares
QUALITY_SHARES = (0.12, 0.45, 0.43)
GREY_SHARE = 0.8  # of grey patches, that become grey JPEGs


def compress_patches(lr: Tensor, chosen: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Compresses the chosen ones of LR patches (N, 3, h, w), whole numbers 0 to 255.

    Returns all patches, and the `JpegCondition` of each, (N, 3).
    """
    lr, told = lr.clone(), torch.zeros(len(lr), 3)
    for index in np.flatnonzero(chosen):
        pixels = lr[index].byte().permute(1, 2, 0).numpy()
        is_grey = bool((pixels == pixels[..., :1]).all()) and rng.random() < GREY_SHARE
        tables = draw_tables(rng, is_grey)
        top, left = rng.integers(GRID, size=2)  # the grid of blocks starts anywhere
        padded = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
        compressed = compress_array(padded, tables, is_grey)[top:, left:]
        lr[index] = torch.from_numpy(compressed.transpose(2, 0, 1).copy())
        told[index] = torch.tensor(tables.condition)
    return lr, told


def draw_tables(rng: np.random.Generator, grey: bool) -> JpegTables:
    """Tables of a random quality; a grey JPEG has one table, which stands for both, and no subsampling."""
    lowest, highest = QUALITIES[rng.choice(len(QUALITIES), p=QUALITY_SHARES)]
    tables = JpegTables.of_quality(int(rng.integers(lowest, highest + 1)))
    if grey:
        return tables.as_grey()
    subsampling = rng.choice([*SUBSAMPLING_SHARES], p=[*SUBSAMPLING_SHARES.values()])
    return JpegTables(tables.luma, tables.chroma, str(subsampling))
