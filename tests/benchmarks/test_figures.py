"""The pictures of the demo's photos and of a training's loss."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.figures import SIZE, ZOOM, loss, results
from picture_files import open_picture
from srmd.base.errors import InputError


def test_the_loss_of_a_run_is_drawn(tmp_path: Path):
    rows = [{"step": step, "loss": 1 / step, "lr": 1e-3, "images_per_s": 10.0} for step in range(1, 50)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    loss(tmp_path, tmp_path / "loss.png")
    assert len(np.unique(np.asarray(open_picture(tmp_path / "loss.png").convert("RGB")), axis=0)) > 10


def test_a_folder_without_a_run_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=f"{tmp_path}: expected the folder of a run"):
        loss(tmp_path, tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


@pytest.mark.slow
def test_the_photos_of_the_demo_are_restored_and_drawn(tmp_path: Path):
    results(tmp_path / "results.png")
    picture = np.asarray(open_picture(tmp_path / "results.png").convert("RGB")).astype(float)
    width, height = (length * ZOOM for length in SIZE)
    assert picture.shape[1] > 3 * width
    parts = [picture[-height:, -width:], picture[-height:, :width]]  # of the lower row: HR and LR
    middle = picture[-height:, (picture.shape[1] - width) // 2 :][:, :width]
    errors = [np.square(part - parts[0]).mean() for part in (middle, parts[1])]
    assert 0 < errors[0] < errors[1]
