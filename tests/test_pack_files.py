"""HDF5 files that are like packs of pictures but hold something else."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from packs import folder_of
from srmd.base.errors import InputError
from srmd.data_loader import PackedPictures, pack


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((9, 9, 3), np.float32),
        np.zeros((9, 9, 3), np.uint16),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9), np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
    ],
)
def test_a_pack_with_another_array_is_refused(tmp_path: Path, other: np.ndarray):
    pack(folder_of(tmp_path / "pictures", (9, 9)), tmp_path / "pack.h5")
    assert len(PackedPictures(tmp_path / "pack.h5")) == 1
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        file["pictures/000001"] = other
    with pytest.raises(InputError, match=r"pack\.h5: expected pictures, \(height, width, 3\) of 8 bits"):
        PackedPictures(tmp_path / "pack.h5")
