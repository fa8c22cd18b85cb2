"""Pictures for training, and the built-in photos; the code is in srmd/data_loader.py and srmd/pictures/."""

from srmd.data_loader import PackedPictures, PackSummary, open_training_data, pack
from srmd.pictures.dead_leaves import dead_leaves
from srmd.pictures.dihedral import turn_array
from srmd.pictures.photos import builtin_test_pictures, builtin_training_pictures

__all__ = [
    "PackSummary",
    "PackedPictures",
    "builtin_test_pictures",
    "builtin_training_pictures",
    "dead_leaves",
    "open_training_data",
    "pack",
    "turn_array",
]
