"""The studies of pictures whose halves differ, and of blur that no Gaussian describes."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import blind_halves, blind_limits
from benchmarks.blind_halves import Halves, HalvesStudy, pictures_of
from benchmarks.blind_limits import CASES, LimitsStudy, disc, motion
from srmd.degradation import Degradation, degrade
from srmd.kernel.families import gaussian
from srmd.kernel.window import centre_offset
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.estimate import Estimate


def hr_part(height, width):
    photo = builtin_test_pictures()["chelsea"][60 : 60 + height, 110 : 110 + width] / 255
    return torch.from_numpy(photo).permute(2, 0, 1)[None]


def test_each_half_has_its_own_degradation():
    halves, hr = Halves((0.6, 1.8), (0, 20)), hr_part(48, 96)
    lr = degrade(hr, halves.degradation(24, 48), 2, noise=torch.ones(1, 3, 24, 48, dtype=torch.float64))
    for columns, width, level in [(slice(0, 24), 0.6, 0), (slice(24, 48), 1.8, 20)]:
        uniform = Degradation.uniform(torch.from_numpy(gaussian(width))[None], torch.zeros(1))
        expected = degrade(hr, uniform, 2)[..., columns] + level / 255
        torch.testing.assert_close(lr[..., columns], expected)


def test_pictures_and_folders_are_read_and_without_them_the_built_in_photos(tmp_path):
    (tmp_path / "folder").mkdir()
    for name, size in {"folder/a.png": (8, 6), "folder/b.png": (10, 6), "c.png": (12, 6)}.items():
        Image.new("RGB", size).save(tmp_path / name)
    pictures = pictures_of([tmp_path / "c.png", tmp_path / "folder"])
    assert [tuple(picture.shape) for picture in pictures] == [(1, 3, 6, 12), (1, 3, 6, 8), (1, 3, 6, 10)]
    assert len(pictures_of([])) == len(builtin_test_pictures())


@pytest.mark.slow
def test_the_study_of_halves_ranks_the_truth_first_and_prints_its_scores():
    study = HalvesStudy(2)
    halves = blind_halves.CASES[0]
    scores = study.scores(hr_part(160, 320), halves)
    assert max(scores, key=scores.get) == "truth"
    assert scores["truth"] > scores["bicubic"] + 1
    text = blind_halves.table(study, [hr_part(160, 320)], [halves])
    assert f"| width 0.6, 1.8; noise 0, 20 | {scores['bicubic']:.2f} | {scores['one estimate']:.2f} |" in text


@pytest.mark.slow
def test_one_estimate_has_the_window_of_the_network_that_is_told_it():
    study = HalvesStudy(4)
    for noise_level in (0.0, 9.0):
        size = study._restorers[noise_level > 0].config.kernel_size
        kernels = study._uniform(Estimate((3.0, 3.0), 0.0, noise_level, 0.9)).kernels
        assert kernels.shape[-2:] == (size, size)
    assert study._restorers[False].config.kernel_size == 21


def second_moments(kernel):
    """The variances along rows and columns, and the covariance."""
    position = np.arange(15) - 7
    row, column = position[:, None], position[None]
    return (kernel * row**2).sum(), (kernel * column**2).sum(), (kernel * row * column).sum()


@pytest.mark.parametrize("radius", [2, 3])
def test_the_moments_of_a_disc(radius):
    kernel = disc(radius)
    pixel = 1 / 12  # the variance of a pixel itself
    assert second_moments(kernel) == pytest.approx(
        (radius**2 / 4 + pixel, radius**2 / 4 + pixel, 0), abs=0.04
    )  # of a kernel drawn on whole pixels
    assert kernel.sum() == pytest.approx(1)


def test_the_moments_of_a_motion():
    kernel = motion(9, 30)
    along, across = 81 / 12, 1 / 12
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    columns = along * cosine**2 + across * sine**2 + 1 / 12
    rows = along * sine**2 + across * cosine**2 + 1 / 12
    assert second_moments(kernel) == pytest.approx((rows, columns, (along - across) * cosine * sine), abs=0.06)
    np.testing.assert_allclose(centre_offset(kernel), 0, atol=1e-9)


@pytest.mark.slow
def test_the_study_of_limits_tells_the_true_kernel_only_where_there_is_one():
    study = LimitsStudy()
    blurred, sharpened = CASES[0], CASES[-1]
    scores, estimate = study.scores(hr_part(96, 96), blurred)
    assert set(scores) == set(blind_limits.COLUMNS)
    assert scores["true kernel"] > scores["no blur assumed"] + 1
    assert scores["true kernel"] == pytest.approx(scores["best isotropic Gaussian"], abs=0.5)
    assert estimate.startswith("`gaussian:1.")
    *_, row = blind_limits.table(study, [hr_part(96, 96)], [sharpened])
    assert row.startswith("| Gaussian, width 1.3, sharpened by 100 % | ")
    assert "| – |" in row
