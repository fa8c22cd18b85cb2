"""Pictures for training, and the built-in photos; the code is in srmd/packs/ and srmd/pictures/."""

from srmd.packs.reader import PackedPictures
from srmd.packs.sources import PackSummary, pack
from srmd.packs.training_data import open_training_data
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
