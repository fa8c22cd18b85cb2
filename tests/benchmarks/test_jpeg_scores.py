"""The tables of networks that are told of JPEG, and the curve of qualities told wrongly."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.jpeg import deblocking_table, modcrop_picture
from benchmarks.jpeg_quality import Curve, curve, draw, report, told_qualities
from benchmarks.ship import held_out_part
from picture_files import open_picture
from small_restoring import write_network
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, load

PHOTO = builtin_test_pictures()["chelsea"][100:164, 150:230]


@pytest.fixture
def network(tmp_path: Path) -> Restorer:
    write_network(str(tmp_path / "tiny.safetensors"), scale=1, conditions=("kernel", "noise", "jpeg"))
    return load(str(tmp_path / "tiny.safetensors"), precision="fp32")


def test_a_grey_jpeg_is_scored_as_pillow_writes_it(network: Restorer):
    grey = np.asarray(Image.fromarray(PHOTO).convert("L"))
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=10)
    error = np.asarray(Image.open(buffer)).astype(float) - grey
    expected = 10 * math.log10(255**2 / np.square(error).mean())
    lines = list(deblocking_table(network, [np.repeat(grey[..., None], 3, 2)]))
    assert len(lines) == 6
    assert lines[0].endswith("| DnCNN-3 | FBCNN |")
    assert lines[2].startswith(f"| 10 | {expected:.2f} | ")
    assert lines[2].endswith("| 29.03 | 29.40 | 30.12 |")


def test_told_qualities_lie_around_the_true_one_and_end_at_100():
    assert told_qualities(50) == [20, 30, 40, 50, 60, 70, 80]
    assert told_qualities(90) == [60, 70, 80, 90, 100]
    assert told_qualities(20) == [10, 20, 30, 40, 50]


def test_only_what_is_told_changes_along_a_curve(network: Restorer):
    wrong = curve(network, [PHOTO], "delta", 50)
    assert set(wrong.psnr) == set(told_qualities(50))
    assert len(set(wrong.psnr.values())) == len(wrong.psnr)
    assert wrong.lost()[3] == 0


def test_the_table_and_the_plots_show_the_curves(tmp_path: Path):
    shown = Curve(90, {60: 30.0, 70: 31.0, 80: 32.5, 90: 33.0, 100: 30.25})
    assert shown.lost() == [3, 2, 0.5, 0, 2.75]
    header, _, row = report([shown]).splitlines()
    assert header.startswith("| true quality | told -30 | ")
    assert row == "| 90 | 30.00 | 31.00 | 32.50 | 33.00 | 30.25 | – | – |"
    draw({"delta": [shown], "gaussian:1.3": [shown]}, tmp_path / "plot.png")
    assert open_picture(tmp_path / "plot.png").size == (900, 378)


def test_the_middle_of_a_picture_is_a_multiple_of_the_scale():
    picture = np.arange(301 * 99 * 3).reshape(301, 99, 3)
    assert np.array_equal(modcrop_picture(held_out_part(picture), 2), picture[22:278, :98])
