"""Plots of training runs."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from picture_files import open_picture
from srmd.show.plots import draw_loss, loss_svg


def test_the_loss_is_plotted_with_and_without_psnr(tmp_path: Path):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 50)]
    draw_loss(rows, tmp_path / "plain.png")
    draw_loss([*rows, {"step": 50, "loss": 0.02, "psnr_y": 30, "bicubic_psnr_y": 28}], tmp_path / "scored.png")
    plain, scored = (np.asarray(open_picture(tmp_path / name).convert("RGB")) for name in ("plain.png", "scored.png"))
    assert plain.shape == scored.shape == (450, 800, 3)
    orange = np.array([255, 127, 14])
    assert not (plain == orange).all(2).any()
    assert (scored == orange).all(2).any()


def test_the_plot_for_pages_is_svg_in_the_colour_of_the_text():
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 50)]
    svg = loss_svg([*rows, {"step": 50, "loss": 0.02, "psnr_y": 30, "bicubic_psnr_y": 28}])
    root = ElementTree.fromstring(svg)
    namespace = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{namespace}svg"
    texts = {text.text for text in root.iter(f"{namespace}text")}
    assert {"step", "loss", "PSNR of Y [dB]", "bicubic"} <= texts
    assert "currentColor" in svg
    assert [part for part in ("#000000", "#ffffff", "<metadata", "<!DOCTYPE") if part in svg] == []
