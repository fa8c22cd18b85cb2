"""What people look at."""

import math
from pathlib import Path

import numpy as np
import scipy.io
import torch
from PIL import Image

from kernel import gaussian
from kernel_files import read_kernels
from report import (
    comparison,
    draw_loss,
    kernel_picture,
    mean_row,
    sample_grid,
    save_kernels,
    table,
    to_rgb8,
)


def row(name: str, **values: float) -> dict:
    scores = {"psnr_y": 30.0, "ssim_y": 0.9, "psnr_rgb": 28.0, "bicubic_psnr_y": 28.5, "bicubic_ssim_y": 0.8}
    return {"name": name} | scores | {"seconds": 0.5} | values


def test_the_table_has_a_line_a_picture_and_the_mean():
    lines = table([row("bird"), row("butterfly", psnr_y=32.0)]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bird", "butterfly", "mean"]
    assert "28.50 / 0.8000" in lines[1]
    assert "30.00 / 0.9000" in lines[1]
    assert lines[1].endswith("1.50")
    assert lines[3].endswith("2.50")
    assert len({len(line) for line in lines[1:]}) == 1


def test_where_nothing_was_lost_no_gain_is_claimed():
    assert table([row("a", psnr_y=math.inf, bicubic_psnr_y=math.inf)]).splitlines()[1].endswith(" –")


def test_the_mean_of_a_perfect_picture_is_infinite():
    assert math.isinf(mean_row([row("a", psnr_y=math.inf), row("b")])["psnr_y"])


def test_without_hr_pictures_the_table_has_the_seconds():
    assert table([{"name": "a", "seconds": 1.25}]).splitlines()[0].split() == ["a", "1.25", "s"]


def test_a_comparison_keeps_every_pixel_and_puts_a_label_above():
    rng = np.random.default_rng(0)
    panels = {f"panel {i}": rng.integers(0, 256, (40, 60, 3), np.uint8) for i in range(4)}
    sheet = comparison(panels)
    assert sheet.shape == (68, 4 * 64 - 4, 3)
    for i, picture in enumerate(panels.values()):
        assert np.array_equal(sheet[28:, 64 * i : 64 * i + 60], picture)
        assert sheet[:28, 64 * i : 64 * i + 60].min() < 128


def test_a_label_that_is_too_long_stays_above_its_panel():
    black = np.zeros((20, 90, 3), np.uint8)
    sheet = comparison({"bicubic 28.15 dB": black, "SRMD": black})
    assert sheet[:28, :90].min() < 128
    assert (sheet[:28, 88:96] == 255).all()


def test_samples_stand_in_columns_lr_bicubic_sr_hr():
    hr = torch.full((2, 3, 8, 8), 0.75)
    grid = sample_grid(torch.full((2, 3, 4, 4), 0.25), torch.full((2, 3, 8, 8), 0.5), hr, 2)
    middle = [tuple(grid[2 + 4, 2 + 4 + 10 * column]) for column in range(4)]
    assert middle == [(64,) * 3, (64,) * 3, (128,) * 3, (191,) * 3]
    assert grid.shape[0] == 2 * 10 + 2


def test_kernels_are_shown_with_a_white_peak():
    kernels = np.zeros((2, 15, 15))
    kernels[0, 7, 7], kernels[1, 3, 4], kernels[1, 3, 5] = 1, 0.5, 0.25
    picture = kernel_picture(kernels, zoom=2)
    assert picture.shape == (30, 60, 3)
    assert (picture[14, 14] == 255).all()
    assert (picture[6, 38] == 255).all()
    assert (picture[6, 40] == 128).all()


def test_negative_values_of_a_kernel_are_red():
    kernel = np.array([[[0, -0.5, 0], [0, 1, 0.5], [0, 0, 0]]])
    assert kernel_picture(kernel, zoom=1)[0].tolist() == [[0, 0, 0], [128, 0, 0], [0, 0, 0]]
    assert kernel_picture(kernel, zoom=1)[1].tolist() == [[0, 0, 0], [255] * 3, [128] * 3]


def test_a_kernel_is_drawn_enlarged_and_saved_to_be_read_again(tmp_path: Path):
    kernel = gaussian(2.6, 1.0, 30)
    save_kernels([kernel], tmp_path / "k.png")
    drawn = np.asarray(Image.open(tmp_path / "k.png"))
    assert drawn.shape == (240, 240, 3)
    assert np.array_equal(drawn, kernel_picture(kernel[None], 16))
    save_kernels([kernel], tmp_path / "k.mat")
    assert np.array_equal(scipy.io.loadmat(tmp_path / "k.mat")["kernel"], kernel)


def test_several_kernels_are_drawn_side_by_side_and_saved_one_by_one(tmp_path: Path):
    kernels = [gaussian(2.6), gaussian(4, size=31)]
    save_kernels(kernels, tmp_path / "k.png")
    assert Image.open(tmp_path / "k.png").size == (2 * 8 * 31, 8 * 31)
    save_kernels(kernels, tmp_path / "k.mat")
    for saved, kernel in zip(read_kernels(tmp_path / "k.mat"), kernels, strict=True):
        np.testing.assert_allclose(saved, kernel, atol=1e-15)


def test_pixels_are_clipped_and_rounded():
    assert to_rgb8(torch.tensor([-0.1, 0.5, 1.1]).view(3, 1, 1)).tolist() == [[[0, 128, 255]]]


def test_the_loss_curve_is_drawn_with_and_without_scores(tmp_path: Path):
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 50)]
    draw_loss(rows, tmp_path / "plain.png")
    draw_loss([*rows, {"step": 50, "loss": 0.02, "psnr_y": 30, "bicubic_psnr_y": 28}], tmp_path / "scored.png")
    plain, scored = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("plain.png", "scored.png"))
    assert plain.shape == scored.shape == (450, 800, 3)
    orange = np.array([255, 127, 14])
    assert not (plain == orange).all(2).any()
    assert (scored == orange).all(2).any()
