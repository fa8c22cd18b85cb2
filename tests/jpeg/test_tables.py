"""The tables of JPEG qualities against libjpeg's, and the condition."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

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
