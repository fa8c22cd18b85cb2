"""Degradation of HR to LR, and the degradation map; the code is in srmd/degradation.py and srmd/pictures/."""

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
