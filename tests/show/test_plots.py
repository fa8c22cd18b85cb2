"""Plots of training runs."""

from pathlib import Path

import numpy as np
from PIL import Image

from srmd.show.plots import draw_loss


def test_the_loss_is_plotted_with_and_without_psnr(tmp_path: Path):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 50)]
    draw_loss(rows, tmp_path / "plain.png")
    draw_loss([*rows, {"step": 50, "loss": 0.02, "psnr_y": 30, "bicubic_psnr_y": 28}], tmp_path / "scored.png")
    plain, scored = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("plain.png", "scored.png"))
    assert plain.shape == scored.shape == (450, 800, 3)
    orange = np.array([255, 127, 14])
    assert not (plain == orange).all(2).any()
    assert (scored == orange).all(2).any()
