"""HR to LR, and what the network is told of it; the code is in srmd/degradation.py."""

from srmd.degradation import (
    Degradation,
    blur,
    border,
    degradation_map,
    degrade,
    downsample,
    imresize,
    modcrop,
    resize_matrix,
    upsample,
)
from srmd.pictures.dihedral import turn, turn_back

__all__ = [
    "Degradation",
    "blur",
    "border",
    "degradation_map",
    "degrade",
    "downsample",
    "imresize",
    "modcrop",
    "resize_matrix",
    "turn",
    "turn_back",
    "upsample",
]
