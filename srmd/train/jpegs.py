"""The JPEG compression of training samples: which ones, with which tables, and what the network is told of it."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.jpeg.codec import BLOCK, Compression
from srmd.jpeg.tables import SUBSAMPLINGS, mean_log, standard_tables

JPEG_SHARE = 1 / 2  # share of samples that are compressed
GREY_SHARE = 0.1  # share of the compressed samples that are grey
# Share of the compressed samples whose noise is removed: two thirds of them have no noise then. Noise hides blocks.
NOISE_REMOVED_SHARE = 1 / 2
SUBSAMPLING_SHARES = {"4:2:0": 0.7, "4:4:4": 0.2, "4:2:2": 0.08, "4:4:0": 0.02}


class RandomJpegs(NamedTuple):
    """The compression of a batch of N samples, of which n are compressed; on the CPU."""

    is_compressed: Tensor  # (N,) bool
    is_grey: Tensor  # (N,) bool, of compressed samples only
    has_noise_removed: Tensor  # (N,) bool, of compressed samples only
    conditions: Tensor  # (N, 3), a `JpegCondition` for each sample
    compression: Compression  # of the n samples

    def select(self, part: slice) -> "RandomJpegs":
        """The compression of a part of the samples, which are numbered from 0 again."""
        start, stop, _ = part.indices(len(self.is_compressed))
        samples = self.compression.samples
        is_inside = (samples >= start) & (samples < stop)
        compression = Compression(samples[is_inside] - start, *(each[is_inside] for each in self.compression[1:]))
        return RandomJpegs(*(each[part] for each in self[:-1]), compression)


def random_jpegs(rng: np.random.Generator, count: int) -> RandomJpegs:
    """Draw the compression of `count` samples: any quality of 1 to 100, on any of the 64 grids of blocks.

    A grey JPEG is not subsampled, and its luma table is told as that of chroma, too.
    """
    is_compressed = rng.random(count) < JPEG_SHARE
    is_grey = is_compressed & (rng.random(count) < GREY_SHARE)
    has_noise_removed = is_compressed & (rng.random(count) < NOISE_REMOVED_SHARE)
    samples = is_compressed.nonzero()[0]
    tables = standard_tables(rng.integers(1, 101, len(samples)))
    subsamplings = rng.choice([*SUBSAMPLING_SHARES], len(samples), p=[*SUBSAMPLING_SHARES.values()])
    subsamplings[is_grey[samples]] = "4:4:4"
    tables[is_grey[samples], 1] = tables[is_grey[samples], 0]
    offsets = rng.integers(BLOCK, size=(len(samples), 2))
    conditions = torch.zeros(count, 3)
    conditions[samples] = torch.from_numpy(_conditions(tables, subsamplings)).float()
    return RandomJpegs(
        *map(torch.from_numpy, (is_compressed, is_grey, has_noise_removed)),
        conditions,
        Compression.of_arrays(samples, tables, subsamplings.tolist(), offsets),
    )


def _conditions(tables: NDArray[np.int64], subsamplings: NDArray[np.str_]) -> NDArray[np.float64]:
    """What the network is told of tables, (n, 2, 64), and their subsamplings: (n, 3)."""
    told = np.array([SUBSAMPLINGS[each] for each in subsamplings], np.float64)
    return np.concatenate([mean_log(tables), told[:, None]], 1)


def make_grey(pictures: Tensor, is_grey: Tensor) -> Tensor:
    """RGB pictures (N, 3, H, W), of which those marked, (N,), get the luma of JPEG in all channels."""
    red, green, blue = pictures.split(1, dim=1)
    return torch.where(is_grey[:, None, None, None], 0.299 * red + 0.587 * green + 0.114 * blue, pictures)
