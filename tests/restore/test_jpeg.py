"""What `Restorer.restore` accepts as `jpeg`, and what it says about other values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import srmd
from picture_files import open_picture
from small_restoring import write_network
from srmd.pictures.photos import builtin_test_pictures

RGB = builtin_test_pictures()["chelsea"][100:124, 150:170]  # (24, 20, 3)
TOLD, UNTOLD = ("kernel", "noise", "jpeg"), ("kernel", "noise")


def load_small(folder: Path, conditions: tuple[str, ...]) -> srmd.Restorer:
    write_network(str(folder / "small.safetensors"), conditions=conditions)
    return srmd.load(folder / "small.safetensors", device="cpu", precision="fp32", engine="torch")


@pytest.mark.parametrize(
    ("jpeg", "found"),
    [
        (0, "0"),
        (101, "101"),
        (50.0, "50.0"),
        (True, "True"),
        ("best", "'best'"),
        (srmd.JpegTables.of_quality(50).luma, r"\(16, 11, 10, 16, 24, 40, \.\.\.\)"),
    ],
)
@pytest.mark.parametrize("conditions", [TOLD, UNTOLD])
def test_an_invalid_compression_is_an_error_that_says_what_is_expected(
    tmp_path: Path, conditions: tuple[str, ...], jpeg: Any, found: str
):
    message = f"^jpeg: expected a quality from 1 to 100, JpegTables, auto or None, found {found}$"
    with pytest.raises(srmd.InputError, match=message):
        load_small(tmp_path, conditions).restore(RGB, "delta", 0, jpeg=jpeg)


@pytest.mark.parametrize(("jpeg", "found"), [(50, "a quality of 50"), (srmd.JpegTables.of_quality(50), "JpegTables")])
def test_a_network_not_trained_for_jpegs_is_told_of_none(tmp_path: Path, jpeg: Any, found: str):
    restorer = load_small(tmp_path, UNTOLD)
    message = f"^jpeg: expected auto or None for a network not trained for JPEGs, found {found}$"
    with pytest.raises(srmd.InputError, match=message):
        restorer.restore(RGB, "delta", 0, jpeg=jpeg)
    for untold in ("auto", None):
        np.testing.assert_array_equal(restorer.restore(RGB, "delta", 0, jpeg=untold), restorer.restore(RGB, "delta", 0))


def test_a_network_for_jpegs_is_told_a_quality_tables_or_nothing(tmp_path: Path):
    restorer = load_small(tmp_path, TOLD)
    told = [restorer.restore(RGB, "delta", 0, jpeg=jpeg) for jpeg in (20, srmd.JpegTables.of_quality(20))]
    np.testing.assert_array_equal(*told)
    untold = [restorer.restore(RGB, "delta", 0, jpeg=jpeg) for jpeg in (None, "auto")]
    np.testing.assert_array_equal(*untold)
    assert not np.array_equal(told[0], untold[0])
    Image.fromarray(RGB).save(tmp_path / "a.jpg", quality=20)
    opened, copy = Image.open(tmp_path / "a.jpg"), open_picture(tmp_path / "a.jpg").copy()
    with opened:
        of_file = restorer.restore(opened, "delta", 0)
        np.testing.assert_array_equal(of_file, restorer.restore(copy, "delta", 0, jpeg=20))
    assert not np.array_equal(of_file, restorer.restore(copy, "delta", 0))
