"""The study of wrong assumptions, on a small part of a photo, with the shipped SRMD x2."""

from pathlib import Path

import pytest

from benchmarks.sensitivity import Curve, GaussianDegradation, Study, draw, page_table, report
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import open_restorer
from srmd.weights.files import read_weights

SHIPPED = Path(__file__).parents[2] / "weights" / "srmd_x2.safetensors"


@pytest.fixture(scope="module")
def study():
    restorer = open_restorer(read_weights(SHIPPED), "cpu", "torch", "fp32")
    return Study(restorer, [builtin_test_pictures()["chelsea"][100:181, 150:230] / 255])


def test_true_assumptions_score_best(study):
    true = GaussianDegradation(1.3, 15)
    widths = study.curve(1.3, true, {width: GaussianDegradation(width, 15) for width in (0.5, 1.3, 2.6)}).psnr
    levels = study.curve(15, true, {level: GaussianDegradation(1.3, level) for level in (0, 15, 50)}).psnr
    assert max(widths, key=widths.get) == 1.3
    assert max(levels, key=levels.get) == 15
    assert widths[1.3] == levels[15]


def test_the_table_is_printed_and_the_picture_is_drawn(study, tmp_path):
    assumed = {width: GaussianDegradation(width, 0) for width in (1.3, 2.6)}
    curve = study.curve(1.3, assumed[1.3], assumed)
    assert curve.psnr[1.3] > curve.bicubic
    header, _, row = report([curve], "width").splitlines()
    assert header == "| true width | bicubic | assumed 1.3 | assumed 2.6 |"
    assert row == f"| 1.3 | {curve.bicubic:.2f} | {curve.psnr[1.3]:.2f} | {curve.psnr[2.6]:.2f} |"
    draw([curve], [curve], tmp_path / "sensitivity.png")
    assert (tmp_path / "sensitivity.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_the_page_shows_one_curve_of_each_study():
    widths = [Curve(0.7, {}, 31), Curve(1.3, {0.7: 31.004, 1.3: 34.887, 2.0: 21.0}, 29.94)]
    noise_levels = [Curve(15, {5: 21.5, 15: 30.7, 25: 30.7}, 27.33)]
    assert page_table(widths, noise_levels).splitlines()[2:] == [
        "| width 1.3 | 0.7: 31.00 (-3.89) | 34.89 | 2: 21.00 (-13.89) | 29.94 |",
        "| noise level 15 | 5: 21.50 (-9.20) | 30.70 | 25: 30.70 (+0.00) | 27.33 |",
    ]
