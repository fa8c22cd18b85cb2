"""The table of what estimators read from JPEGs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import blind_jpeg
from srmd.degradation import degrade_picture
from srmd.jpeg.tables import JpegTables
from srmd.restore.estimate import Estimate

MARKS = "<!-- estimates of JPEGs -->\n", "<!-- end of estimates of JPEGs -->\n"


class Estimator:
    """Reads a width of 1 and the level 5 where it is told tables; else the width of the applied kernel and level 2."""

    def __init__(self, scale: int):
        self.scale = scale

    def estimate(self, pixels: NDArray, jpeg: JpegTables | None) -> Estimate:
        assert pixels.shape == (8, 12, 3)
        if jpeg is None:
            return Estimate((0.6 * self.scale, 0.6 * self.scale), 0.0, 2.0, 0.9)
        assert jpeg == JpegTables.of_quality(75)
        return Estimate((1.4, 0.2), 0.0, 5.0, 0.9)  # an anisotropic kernel of the same second moments as width 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two HR pictures of 48×32, of which 12×8 LR pixels are used at x4; LR is compressed at quality 75."""
    monkeypatch.setattr(blind_jpeg, "BlindEstimator", Estimator)
    monkeypatch.setattr(blind_jpeg, "QUALITIES", (75,))
    (tmp_path / "hr").mkdir()
    for name in "ab":
        Image.effect_noise((48, 32), 50).convert("RGB").save(tmp_path / "hr" / f"{name}.png")
    return tmp_path / "hr"


def test_the_estimator_is_told_the_tables_in_one_column_and_its_means_are_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "page.md"
    page.write_text(f"{MARKS[0]}old\n{MARKS[1]}")
    monkeypatch.setattr(sys, "argv", ["blind_jpeg", str(folder), "--scales", "4", f"--page={page}"])
    blind_jpeg.main()
    table = capsys.readouterr().out
    assert table.splitlines()[2:] == [
        "| x4 | 0 | not compressed | | 2.40, 0.00; 2.0 |",
        "| x4 | 0 | 75 | 1.00, 1.40; 5.0 | 2.40, 0.00; 2.0 |",
        "| x4 | 8 | not compressed | | 2.40, 0.00; 2.0 |",
        "| x4 | 8 | 75 | 1.00, 1.40; 5.0 | 2.40, 0.00; 2.0 |",
    ]
    assert page.read_text() == f"{MARKS[0]}\n{table}\n{MARKS[1]}"


def test_what_is_estimated_was_blurred_made_noisy_and_compressed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def estimate(self: Estimator, pixels: NDArray, jpeg: JpegTables | None) -> Estimate:
        seen.append(pixels.astype(float))
        return Estimate((1.0, 1.0), 0.0, 0.0, 0.9)

    monkeypatch.setattr(Estimator, "estimate", estimate)
    picture = (255 * np.kron(np.eye(2), np.ones((16, 24)))[..., None].repeat(3, -1)).astype(np.uint8)
    list(blind_jpeg.table([picture], [4]))
    clean, told, untold, noisy, *_ = seen
    assert np.abs(clean - degrade_picture(picture, scale=4)).mean() > 4
    np.testing.assert_array_equal(told, untold)
    assert 0 < np.abs(told - clean).mean() < 8
    assert np.abs(noisy - clean).mean() > 2
