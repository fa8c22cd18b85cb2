"""A picture of any size through a network, a tile at a time."""

import torch
from torch import Tensor

from engine import Engine


def restore(engine: Engine, lr: Tensor, degradation_map: Tensor) -> Tensor:
    """LR (1, 3, h, w) and its map (1, C, h, w) or (1, C, 1, 1) → SR (1, 3, s·h, s·w), float32, not clipped.

    Each tile sees a halo as wide as the network does, so that tiles leave no trace.
    """
    height, width = lr.shape[-2:]
    scale, tile = engine.scale, engine.tile
    sr = torch.empty(1, 3, scale * height, scale * width)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            rows = slice(max(top - engine.halo, 0), min(top + tile + engine.halo, height))
            columns = slice(max(left - engine.halo, 0), min(left + tile + engine.halo, width))
            told = degradation_map.expand(-1, -1, height, width)[..., rows, columns]
            part = engine.run(lr[..., rows, columns], told)
            inner = part[..., scale * (top - rows.start) :, scale * (left - columns.start) :]
            target = sr[..., scale * top : scale * (top + tile), scale * left : scale * (left + tile)]
            target.copy_(inner[..., : target.shape[-2], : target.shape[-1]])
    return sr
