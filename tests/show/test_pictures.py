"""Pictures of samples, kernels and comparisons."""

from pathlib import Path

import numpy as np
import scipy.io
import torch

from picture_files import open_picture
from srmd.kernel.families import gaussian
from srmd.kernel.files import read_kernels
from srmd.show.pictures import comparison, kernel_picture, label_width, sample_grid, save_kernels, to_rgb8


def test_a_comparison_keeps_every_pixel_and_puts_a_label_above():
    rng = np.random.default_rng(0)
    panels = {f"panel {i}": rng.integers(0, 256, (40, 60, 3), np.uint8) for i in range(4)}
    sheet = comparison(panels)
    assert sheet.shape == (68, 4 * 64 - 4, 3)
    for i, picture in enumerate(panels.values()):
        assert np.array_equal(sheet[28:, 64 * i : 64 * i + 60], picture)
        assert sheet[:28, 64 * i : 64 * i + 60].min() < 128


def test_a_label_that_is_too_long_gets_a_smaller_font():
    black = np.zeros((20, 130, 3), np.uint8)
    sheet = comparison({"bicubic 28.15 dB": black, "SRMD": black})
    assert sheet.shape[1] == 2 * 130 + 4
    assert sheet[:28, :130].min() < 128
    assert (sheet[:28, 128:136] == 255).all()


def test_columns_of_small_pictures_are_as_wide_as_their_labels():
    black = np.zeros((20, 30, 3), np.uint8)
    sheet = comparison({"bicubic 28.15 dB": black, "SRMD": black})
    width = (sheet.shape[1] - 4) // 2
    assert width >= label_width(["bicubic 28.15 dB"]) > 90
    assert (sheet[:28, [0, 1, width, width + 1, width + 2]] == 255).all()  # nothing reaches the edges
    assert (sheet[28:] == 0).all(-1).sum() == 2 * 20 * 30


def test_the_columns_of_samples_are_lr_bicubic_sr_hr():
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


def test_a_kernel_is_drawn_enlarged_or_saved_as_a_mat_file(tmp_path: Path):
    kernel = gaussian(2.6, 1.0, 30)
    save_kernels([kernel], tmp_path / "k.png")
    drawn = np.asarray(open_picture(tmp_path / "k.png"))
    assert drawn.shape == (240, 240, 3)
    assert np.array_equal(drawn, kernel_picture(kernel[None], 16))
    save_kernels([kernel], tmp_path / "k.mat")
    assert np.array_equal(scipy.io.loadmat(tmp_path / "k.mat")["kernel"], kernel)


def test_several_kernels_are_drawn_side_by_side_or_saved_as_cells(tmp_path: Path):
    kernels = [gaussian(2.6), gaussian(4, size=31)]
    save_kernels(kernels, tmp_path / "k.png")
    assert open_picture(tmp_path / "k.png").size == (2 * 8 * 31, 8 * 31)
    save_kernels(kernels, tmp_path / "k.mat")
    for saved, kernel in zip(read_kernels(tmp_path / "k.mat"), kernels, strict=True):
        np.testing.assert_allclose(saved, kernel, atol=1e-15)


def test_pixels_are_clipped_and_rounded():
    assert to_rgb8(torch.tensor([-0.1, 0.5, 1.1]).view(3, 1, 1)).tolist() == [[[0, 128, 255]]]
