"""A picture of any size through a network, a tile at a time, and where asked in all its flips and turns."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from degradation import Degradation, turn, turn_back
from engine import Engine
from transforms import TILE as GRID

VIEWS = 8  # a picture's flips and turns


def restored_tiles(
    engine: Engine,
    lr: NDArray,
    assumed: Degradation,
    told: Callable[[Degradation], Tensor],
    tile: int | None = None,
    views: int = 1,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The restored picture in parts: rows and columns of SR, and what belongs there, (1, 3, ·, ·), not clipped.

    `lr` is (h, w, 3), uint8, uint16 or floats in 0 to 1; only a tile of it, of its degradation map and of SR is there
    in floats at any time. Each tile, of at most `tile` LR pixels a side (by default the engine's) but at least six,
    sees a halo as wide as the network does, so that tiles leave no trace. `told` makes a degradation map of what is
    assumed. With 8 `views` SR is the mean over the picture's flips and turns, each told the kernel as it is turned.
    """
    height, width, _ = lr.shape
    scale, halo, tile = engine.scale, engine.halo, tile or engine.tile
    for (top, bottom), rows in _spans(height, tile, halo):
        for (left, right), columns in _spans(width, tile, halo):
            sr = _mean_of_views(engine, _to_tensor(lr[rows, columns]), assumed.part(rows, columns), told, views)
            inner_rows = slice(scale * (top - rows.start), scale * (bottom - rows.start))
            inner_columns = slice(scale * (left - columns.start), scale * (right - columns.start))
            target = slice(scale * top, scale * bottom), slice(scale * left, scale * right)
            yield *target, sr[..., inner_rows, inner_columns]


def _spans(length: int, tile: int, halo: int) -> Iterator[tuple[tuple[int, int], slice]]:
    """Start and end of each tile along an axis, and what it sees.

    All see as much: engines prepare for a size, and keep memory for each that they have met. What they see begins, and
    seen from the other end ends, on the grid of Winograd's algorithm, so that it rounds alike in all of them.
    """
    side = length if length <= tile else _to_grid(-(-length // -(-length // max(tile // GRID * GRID, GRID))))
    halo = _to_grid(halo)
    seen = min(side + 2 * halo + (length - side - 2 * halo) % GRID, length)
    for start in range(0, length, side):
        first = min(max(start - halo, 0), length - seen)
        yield (start, min(start + side, length)), slice(first, first + seen)


def _to_grid(length: int) -> int:
    """The next multiple."""
    return -(-length // GRID) * GRID


def _mean_of_views(
    engine: Engine, lr: Tensor, assumed: Degradation, told: Callable[[Degradation], Tensor], views: int
) -> Tensor:
    total = torch.zeros(1, 3, *(engine.scale * side for side in lr.shape[-2:]))
    for view in range(views):
        seen = turn(lr, view).contiguous()
        degradation_map = told(assumed.turned(view)).expand(-1, -1, *seen.shape[-2:])
        total += turn_back(engine.run(seen, degradation_map), view)
    return total / views


def _to_tensor(pixels: NDArray) -> Tensor:
    """(h, w, 3) of whole or floating numbers → (1, 3, h, w) float32 in 0 to 1."""
    if pixels.dtype.kind == "u":
        pixels = pixels / np.iinfo(pixels.dtype).max
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
