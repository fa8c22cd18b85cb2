"""Luma, PSNR and SSIM against their definitions, and against published scores of bicubic upscaling."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from published import SET5, needs_set5
from srmd.degradation import Degradation, degrade, modcrop, upsample
from srmd.kernel.families import delta, gaussian
from srmd.pictures.metrics import luma, psnr, score, ssim


def picture(height, width, seed=0):
    """A smooth random picture with noise, 8-bit values divided by 255, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:height, :width][..., None]
    smooth = 128 + 80 * np.sin(row / 5 + np.arange(3)) * np.cos(column / 7) + rng.normal(0, 12, (height, width, 3))
    return np.round(smooth.clip(0, 255)) / 255


def ssim_by_loops(a, b):
    """Wang's SSIM from its definition: one 11×11 Gaussian window at a time, population moments, valid area."""
    window = np.array([[math.exp(-((r - 5) ** 2 + (c - 5) ** 2) / (2 * 1.5**2)) for c in range(11)] for r in range(11)])
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = (p[row : row + 11, column : column + 11] for p in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


def psnr_by_loops(a, b):
    error = sum((float(x) - float(y)) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)) / a.size
    return 10 * math.log10(255**2 / error)


def test_luma_runs_from_16_to_235_and_is_not_rounded():
    rgb = np.array([[[0, 0, 0], [1, 1, 1]], [[1, 0, 0], [0.2, 0.4, 0.6]]])
    expected = [[16, 235], [81.481, 16 + 0.2 * 65.481 + 0.4 * 128.553 + 0.6 * 24.966]]
    np.testing.assert_allclose(luma(rgb), expected, atol=1e-12)


def test_luma_of_a_float32_picture_is_computed_in_float64():
    rgb = picture(9, 9).astype(np.float32)
    assert luma(rgb).dtype == np.float64
    np.testing.assert_allclose(luma(rgb), luma(rgb.astype(np.float64)), atol=1e-12)


def test_psnr_is_the_mean_square_error_in_decibels():
    a, b = 255 * picture(13, 17), 255 * picture(13, 17, seed=1)
    assert psnr(a, b) == pytest.approx(psnr_by_loops(a, b), abs=1e-10)
    assert psnr(np.zeros((4, 4)), np.ones((4, 4))) == pytest.approx(48.1308036, abs=1e-6)
    assert psnr(np.zeros((4, 4)), np.full((4, 4), 25.5)) == pytest.approx(20)


def test_psnr_of_equal_arrays_is_infinite():
    assert psnr(picture(5, 5), picture(5, 5)) == math.inf


def test_equal_pictures_have_equal_luma_in_any_memory_layout():
    rgb = picture(40, 50)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert score(rgb, planes, 2)["psnr_y"] == math.inf


def test_ssim_equals_the_definition_computed_window_by_window():
    a, b = luma(picture(23, 19)), luma(picture(23, 19, seed=1))
    assert ssim(a, b) == pytest.approx(ssim_by_loops(a, b), abs=1e-9)
    assert 0.1 < ssim(a, b) < 0.99


def test_ssim_of_an_11_by_11_picture_is_that_of_its_only_window():
    a, b = luma(picture(11, 11)), luma(picture(11, 11, seed=1))
    assert ssim(a, b) == pytest.approx(ssim_by_loops(a, b), abs=1e-9)


def test_ssim_of_equal_pictures_is_one():
    assert ssim(luma(picture(15, 15)), luma(picture(15, 15))) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_score_crops_as_many_pixels_as_the_scale_on_each_side(scale):
    hr, sr = picture(30, 26), picture(30, 26, seed=1)
    a, b = (p[scale : 30 - scale, scale : 26 - scale] for p in (sr, hr))
    scores = score(sr, hr, scale)
    assert set(scores) == {"psnr_y", "ssim_y", "psnr_rgb"}
    assert scores["psnr_rgb"] == pytest.approx(psnr_by_loops(255 * a, 255 * b), abs=1e-9)
    assert scores["psnr_y"] == pytest.approx(psnr_by_loops(luma(a), luma(b)), abs=1e-9)
    assert scores["ssim_y"] == pytest.approx(ssim_by_loops(luma(a), luma(b)), abs=1e-9)


def test_the_cropped_border_does_not_count():
    hr = picture(30, 26)
    sr = np.zeros_like(hr)
    sr[3:-3, 3:-3] = hr[3:-3, 3:-3]
    assert score(sr, hr, 3)["psnr_y"] == math.inf
    assert score(sr, hr, 2)["psnr_y"] < math.inf


def test_sr_is_clipped_and_rounded_to_8_bits_before_it_is_scored():
    hr = picture(30, 26)
    hr[:15] = np.round(hr[:15])
    nearly = hr + np.random.default_rng(0).uniform(-0.49, 0.49, hr.shape) / 255
    nearly[hr == 1] = 1.7
    nearly[hr == 0] = -0.3
    assert score(nearly.astype(np.float32), hr, 2)["psnr_rgb"] == math.inf
    assert score(hr + 0.6 / 255 * (hr < 1), hr, 2) == score((np.round(255 * hr) + (hr < 1)) / 255, hr, 2)


def test_scoring_does_not_change_its_arguments():
    hr, sr = picture(20, 20), 2 * picture(20, 20, seed=1) - 0.5
    before = hr.copy(), sr.copy()
    score(sr, hr, 2)
    np.testing.assert_array_equal(hr, before[0])
    np.testing.assert_array_equal(sr, before[1])


@needs_set5
@pytest.mark.parametrize(
    ("scale", "kernel", "expected"),
    [
        (2, delta(), (33.6869, 0.930631, 31.8078)),
        (4, gaussian(2.6, 1.0, 30), (26.6089, 0.760281, 24.9205)),
    ],
    ids=["x2 without blur", "x4 oriented"],
)
def test_bicubic_upscaling_of_set5_scores_as_published(scale, kernel, expected):
    scores = []
    for path in sorted(SET5.glob("*.png")):
        hr = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)[None] / 255)
        hr = modcrop(hr, scale)
        lr = degrade(hr, Degradation.uniform(torch.from_numpy(kernel)[None], torch.zeros(1)), scale)
        sr, hr = (p[0].permute(1, 2, 0).numpy() for p in (upsample(lr, scale), hr))
        scores.append(score(sr, hr, scale))
    means = [np.mean([s[key] for s in scores]) for key in ("psnr_y", "ssim_y", "psnr_rgb")]
    assert means == pytest.approx(expected, abs=1e-4)
    assert means[1] == pytest.approx(expected[1], abs=2e-6)
