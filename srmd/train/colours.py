"""Colour augmentation: training crops in other colours, and drawn crops of saturated colours.

Photos contain few saturated colours. A network that is trained on photos alone returns flat areas of such colours with
an error of up to 40 levels of 255.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.train.memory import to_device

MIN_GAIN, MAX_GAIN = 0.6, 1.4  # factor of a channel's differences from 1/2
MAX_OFFSET = 0.2  # added to a channel or subtracted from it
MAX_LEAVES = 12
MIN_RADIUS = 3.0  # HR pixels
MAX_RADIUS = 100.0  # in sides of the crop; the edge of such a leaf is nearly straight
EXTREME_SHARE = 1 / 2  # share of the drawn channel values that are 0 or 1


class ColourShares(NamedTuple):
    """The shares of a batch's samples whose colours are changed."""

    recoloured: float  # channels permuted, scaled and shifted
    drawn: float  # replaced by drawn crops


COLOUR_SHARES = ColourShares(recoloured=1 / 4, drawn=1 / 16)
UNCHANGED_COLOURS = ColourShares(recoloured=0, drawn=0)


def augment_colours(
    hr: Tensor,
    rng: np.random.Generator,
    shares: ColourShares = COLOUR_SHARES,
    part: slice = slice(None),
    count: int | None = None,
) -> Tensor:
    """Return HR crops (N, 3, H, H), 0 to 1, of which some are recoloured and some are replaced by drawn ones.

    What is changed depends on the state of `rng` only, not on the device. The crops may be the `part` of `count` crops
    whose numbers are drawn; by default they are all.
    """
    count, size = len(hr) if count is None else count, hr.shape[-1]
    hr = recolour(hr, rng, shares.recoloured, part, count)
    drawn = np.flatnonzero(rng.random(count) < shares.drawn)
    if len(drawn):
        leaves = saturated_leaves(rng, len(drawn), size, hr.device)
        start, stop, _ = part.indices(count)
        in_part = np.flatnonzero((drawn >= start) & (drawn < stop))
        targets, sources = (to_device(torch.from_numpy(each), hr.device) for each in (drawn[in_part] - start, in_part))
        hr = hr.index_copy(0, targets, leaves.index_select(0, sources))
    return hr


def recolour(
    hr: Tensor, rng: np.random.Generator, share: float, part: slice = slice(None), count: int | None = None
) -> Tensor:
    """Return HR crops (N, 3, H, W); in a share of them the channels are permuted, scaled and shifted, and clipped.

    `part` and `count` as in `augment_colours`.
    """
    count = len(hr) if count is None else count
    recoloured = rng.random(count) < share
    order = rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    gain = rng.uniform(MIN_GAIN, MAX_GAIN, (count, 3))
    offset = 0.5 - 0.5 * gain + rng.uniform(-MAX_OFFSET, MAX_OFFSET, (count, 3))
    order[~recoloured], gain[~recoloured], offset[~recoloured] = np.arange(3), 1, 0
    order, gain, offset = (to_device(torch.from_numpy(numbers[part]), hr.device) for numbers in (order, gain, offset))
    permuted = hr[torch.arange(len(hr), device=hr.device)[:, None], order]
    return torch.addcmul(offset[..., None, None].to(hr), permuted, gain[..., None, None].to(hr)).clamp_(0, 1)


def saturated_leaves(rng: np.random.Generator, count: int, size: int, device: torch.device) -> Tensor:
    """Return drawn crops, (count, 3, size, size), 0 to 1: leaves in saturated colours that cover one another.

    A leaf is a disc whose edge runs through a random point of the crop. Edges are antialiased.
    """
    leaves = rng.integers(2, MAX_LEAVES + 1, count)
    leaves = np.where(rng.random(count) < 2 / 3, rng.integers(0, 2, count), leaves)  # number of leaves of each crop
    colours = saturated_colours(rng, (count, MAX_LEAVES + 1))
    edge = rng.uniform(0, size, (count, MAX_LEAVES, 2))
    angle = rng.uniform(0, 2 * math.pi, (count, MAX_LEAVES))
    radius = np.exp(rng.uniform(math.log(MIN_RADIUS), math.log(MAX_RADIUS * size), (count, MAX_LEAVES)))
    centre = edge + radius[..., None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    radius[np.arange(MAX_LEAVES) >= leaves[:, None]] = -1  # not drawn
    numbers = (colours, centre, radius)
    colours, centre, radius = (to_device(torch.from_numpy(each).float(), device) for each in numbers)
    pixels = torch.arange(size, device=device) + 0.5
    crops = colours[:, 0, :, None, None].expand(-1, -1, size, size)
    for leaf in range(leaves.max()):
        row, column = (centre[:, leaf, axis, None] - pixels for axis in (0, 1))  # (count, size)
        distance = torch.hypot(row[:, :, None], column[:, None]) - radius[:, leaf, None, None]
        coverage = (0.5 - distance).clamp(0, 1)[:, None]
        crops = torch.lerp(crops, colours[:, leaf + 1, :, None, None], coverage)
    return crops


def saturated_colours(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return colours (*shape, 3): half of the channels are 0 or 1, the others uniform from 0 to 1."""
    extreme = rng.random((*shape, 3)) < EXTREME_SHARE
    return np.where(extreme, rng.integers(0, 2, (*shape, 3)), rng.random((*shape, 3)))
