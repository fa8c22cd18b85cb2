"""The tables of JPEG qualities against libjpeg's, and the condition."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from srmd.base.errors import InputError
from srmd.jpeg.tables import NO_JPEG, JpegTables, standard_tables


def test_tables_of_all_qualities_are_libjpegs():
    for quality in range(1, 101):
        file = BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
        with Image.open(file) as picture:
            assert [picture.quantization[0], picture.quantization[1]] == standard_tables(quality).tolist()


@pytest.mark.parametrize(("quality", "luma"), [(5, 0.975), (50, 0.688), (75, 0.564), (95, 0.270)])
def test_condition_of_a_quality(quality, luma):
    assert JpegTables.of_quality(quality).condition.luma == pytest.approx(luma, abs=5e-4)


def test_quality_100_without_subsampling_counts_as_no_jpeg():
    assert JpegTables.of_quality(100, "4:4:4").condition == NO_JPEG


def test_entries_outside_of_8_bits_are_clamped():
    tables = JpegTables((0, 65535) * 32, (1,) * 64, "4:2:2")
    assert tables.condition == pytest.approx((np.log2(255) / 16, 0, 0.5))


@pytest.mark.parametrize("quality", [-1, 0, 101, 50.5, "60", None])
def test_a_quality_outside_of_1_to_100_is_refused(quality):
    with pytest.raises(InputError, match=f"quality: expected a whole number from 1 to 100, found {quality!r}"):
        JpegTables.of_quality(quality)


@pytest.mark.parametrize(
    ("luma", "chroma", "subsampling", "message"),
    [
        ((1,) * 63, (1,) * 64, "4:4:4", "luma: expected 64 steps, found 63"),
        ((1,) * 64, (1,) * 65, "4:4:4", "chroma: expected 64 steps, found 65"),
        (
            (1.5,) * 64,
            (1,) * 64,
            "4:4:4",
            r"luma: expected 64 whole numbers, found \(1.5, 1.5, 1.5, 1.5, 1.5, 1.5, ...\)",
        ),
        ((-1,) * 64, (1,) * 64, "4:4:4", "luma: expected steps of 0 to 65535, found "),
        ((1,) * 64, (10**30,) * 64, "4:4:4", "chroma: expected steps of 0 to 65535, found "),
        ((1,) * 64, None, "4:4:4", "chroma: expected 64 whole numbers, found None"),
        ((1,) * 64, (1,) * 64, ["4:4:4"], r"subsampling: expected one of 4:4:4, .*, found \['4:4:4'\]"),
        ((1,) * 64, (1,) * 64, "4:1:1", "subsampling: expected one of 4:4:4, 4:2:2, 4:4:0, 4:2:0, found '4:1:1'"),
    ],
)
def test_other_tables_and_subsamplings_are_refused(luma, chroma, subsampling, message):
    with pytest.raises(InputError, match=message):
        JpegTables(luma, chroma, subsampling)


def test_tables_of_pillow_are_equal_to_those_of_the_quality(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg", quality=60)
    with Image.open(tmp_path / "a.jpg") as image:
        luma, chroma = image.quantization.values()
    for kind in (list, np.array):
        tables = JpegTables(kind(luma), kind(chroma), "4:2:0")
        assert tables == JpegTables.of_quality(60)
        assert hash(tables) == hash(JpegTables.of_quality(60))
