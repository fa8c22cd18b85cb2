"""HDF5 files that are no packs, or lead elsewhere, are refused by one exception type."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from srmd.base.errors import InputError
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.packs.version_1 import read_version_1


def begin(file: h5py.File, version: int) -> None:
    file.attrs.update(format="srmd pictures", version=version, identity="0")


def no_datasets(file: h5py.File, _folder: Path) -> None:
    begin(file, 2)


def a_group_for_a_dataset(file: h5py.File, _folder: Path) -> None:
    begin(file, 2)
    for name in ("pictures", "names", "lossy", "checksums", "pixels"):
        file.create_group(name)


def a_link_to_another_file(file: h5py.File, folder: Path) -> None:
    begin(file, 2)
    file["pictures"] = h5py.ExternalLink(str(folder / "other.h5"), "pictures")


def a_version_that_is_no_number(file: h5py.File, _folder: Path) -> None:
    file.attrs.update(format="srmd pictures", version="²")


def a_version_of_5000_digits(file: h5py.File, _folder: Path) -> None:
    file.attrs.update(format="srmd pictures", version="9" * 5000)


@pytest.mark.parametrize(
    "write",
    [
        no_datasets,
        a_group_for_a_dataset,
        a_link_to_another_file,
        a_version_that_is_no_number,
        a_version_of_5000_digits,
    ],
)
def test_another_file_is_no_pack(write: Callable, tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, tmp_path)
    for open_pack in (PackedPictures, open_training_data):
        with pytest.raises(InputError, match=r"a\.h5: expected"):
            open_pack(tmp_path / "a.h5")


def external_pixels(file: h5py.File, folder: Path) -> None:
    (folder / "secret").write_bytes(b"confidential")
    file.create_dataset("pictures/0", (2, 2, 3), "u1", external=[(str(folder / "secret"), 0, 12)])
    file["pictures/0"].attrs["name"] = "a.png"


def pixels_of_a_fill_value(file: h5py.File, _folder: Path) -> None:
    file.create_dataset("pictures/0", (2**14, 2**14, 3), "u1", chunks=(64, 64, 3), fillvalue=1)
    file["pictures/0"].attrs["name"] = "a.png"


def no_name(file: h5py.File, _folder: Path) -> None:
    file["pictures/0"] = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize("write", [external_pixels, pixels_of_a_fill_value, no_name])
def test_a_pack_of_version_1_that_leads_elsewhere_is_refused(write: Callable, tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        begin(file, 1)
        write(file, tmp_path)
    with pytest.raises(InputError, match=r"a\.h5: expected pictures"):
        list(read_version_1(tmp_path / "a.h5"))
