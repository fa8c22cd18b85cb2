"""Maps of blur and noise from estimates of windows."""

import json

import numpy as np
import pytest
import torch

from srmd.degradation import Degradation, degradation_map
from srmd.kernel.families import gaussian
from srmd.pictures.dihedral import VIEWS, turn
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.estimate_map import MAX_WINDOWS, EstimateMap, GridDegradation, estimate_map

RNG = np.random.default_rng(0)
PCA = torch.from_numpy(np.linalg.qr(RNG.standard_normal((225, 6)))[0].T)
CONDITIONS = ("kernel", "noise")


def sure(width1, width2=None, angle=0.0, noise_level=0.0):
    return Estimate((width1, width2 or width1), angle, noise_level, 1.0)


def unsure(width, noise_level=0.0):
    return Estimate((width, width), 0.0, noise_level, 0.0)


def map_of(estimates, size=(96, 160)):
    """Estimates in windows of 64 pixels, 32 apart."""
    windows = [
        (slice(32 * row, 32 * row + 64), slice(32 * column, 32 * column + 64), estimate)
        for row, line in enumerate(estimates)
        for column, estimate in enumerate(line)
    ]
    return EstimateMap.from_windows(windows[::-1], size)


def random_grid(height=14, width=9, rows=3, columns=2):
    """A degradation with different parts, and weights that are not symmetric."""
    count = rows * columns
    kernels = gaussian(RNG.uniform(1, 3, count), RNG.uniform(0.4, 1, count), RNG.uniform(0, 180, count))
    weights = [
        torch.from_numpy(RNG.dirichlet(np.ones(parts), side)) for side, parts in [(height, rows), (width, columns)]
    ]
    levels = torch.from_numpy(RNG.uniform(0, 50, (1, count)))
    return GridDegradation(torch.from_numpy(kernels)[None], levels, row_weights=weights[0], column_weights=weights[1])


def as_mix(grid):
    """The same degradation in the general form, with a weight of each part for each pixel."""
    weights = torch.einsum("yi,xj->ijyx", grid.row_weights, grid.column_weights).flatten(0, 1)
    return Degradation(grid.kernels, grid.noise_levels, weights[None])


def maps(degradation):
    return degradation_map(degradation, PCA, CONDITIONS)


def test_a_grid_gives_the_map_of_the_equal_mix():
    grid = random_grid()
    torch.testing.assert_close(maps(grid), maps(as_mix(grid)))


@pytest.mark.parametrize("view", range(VIEWS))
def test_a_turned_grid_is_the_turned_mix(view):
    grid = random_grid()
    torch.testing.assert_close(maps(grid.turned(view)), maps(as_mix(grid).turned(view)))
    torch.testing.assert_close(grid.turned(view).noise_level(), turn(grid.noise_level(), view))


def test_a_cropped_grid_has_the_cropped_map():
    grid, rows, columns = random_grid(), slice(3, 11), slice(2, 7)
    torch.testing.assert_close(maps(grid.crop(rows, columns)), maps(grid)[..., rows, columns])


def test_equal_estimates_give_a_uniform_map():
    degradation = map_of([[sure(1.6, 0.8, 30, noise_level=7)] * 4] * 2).degradation(15)
    expected = Degradation.uniform(torch.from_numpy(gaussian(1.6, 0.8, 30))[None], torch.tensor([7.0]))
    torch.testing.assert_close(maps(degradation), maps(expected).expand(-1, -1, 96, 160), rtol=1e-5, atol=1e-7)


def test_an_unsure_window_takes_over_from_its_neighbours():
    estimates = [[sure(1, noise_level=10), unsure(3, 50), sure(1, noise_level=10), sure(1, noise_level=10)]] * 2
    covariances, noise_levels = map_of(estimates).smoothed()
    np.testing.assert_allclose(covariances[..., [0, 2]], 1)
    np.testing.assert_allclose(noise_levels, 10)


@pytest.mark.parametrize("columns", [3, 40])
def test_one_sure_window_decides_for_all(columns):
    line = [unsure(3, 50)] * (columns - 1) + [sure(1.5, noise_level=4)]
    covariances, noise_levels = map_of([line, [unsure(3, 50)] * columns], (96, 32 * columns + 32)).smoothed()
    np.testing.assert_allclose(covariances[..., [0, 2]], 1.5**2)
    np.testing.assert_allclose(noise_levels, 4)


def test_the_map_follows_the_estimates_smoothly():
    line = [sure(0.6, noise_level=0)] * 4 + [sure(1.8, noise_level=20)] * 4
    levels = map_of([line] * 2, (96, 288)).degradation(15).noise_level()[0, 0].numpy()
    assert levels.shape == (96, 288)
    assert levels[:, :60].max() < 0.5
    assert levels[:, -130:].min() > 19.5
    steps = np.diff(levels, axis=1)
    assert steps.min() >= 0
    assert steps.max() < 1


def test_no_width_becomes_a_delta_kernel():
    kernels = map_of([[sure(0.0)] * 4] * 2).degradation(15).kernels
    assert kernels.shape == (1, 8, 15, 15)
    assert (kernels[..., 7, 7] == 1).all()
    assert map_of([[sure(0.0)] * 4] * 2).describe().startswith("widths 0 to 0, ")


def test_the_map_is_described_and_becomes_json():
    narrow = sure(0.8, noise_level=6)
    assert map_of([[narrow, unsure(2)]] * 2, (96, 96)).describe() == (
        "widths 0.8 to 0.8, noise 6 to 6, from 2×2 windows, 2 sure"
    )
    estimates = map_of([[sure(2, 0.5, 90), unsure(1)], [narrow, narrow]], (96, 96))
    entry = json.loads(json.dumps(estimates.entry()))
    assert entry["rows"] == entry["columns"] == [31.5, 63.5]
    assert entry["kernel"] == [["gaussian:2,0.5,90", "gaussian:1"], ["gaussian:0.8", "gaussian:0.8"]]
    assert entry["sure"] == [[True, False], [True, True]]


def test_a_window_between_clean_and_noisy_ones_is_told_the_higher_level():
    line = [sure(1)] * 3 + [sure(1, noise_level=2)] + [sure(1, noise_level=20)] * 3
    _, levels = map_of([line] * 2, (96, 256)).smoothed()
    assert levels[0, 3] > 17
    assert levels[0, 1] < 1


@pytest.mark.parametrize("shape", [(4000, 6000), (1000, 30_000), (1, 30_000)])
def test_a_large_picture_has_a_bounded_number_of_windows(shape, monkeypatch):
    monkeypatch.setattr(BlindEstimator, "estimate", lambda *_, **__: sure(1))
    windows = estimate_map(BlindEstimator(2), np.broadcast_to(np.uint8(0), (*shape, 3)))
    assert 900 < len(windows.rows) * len(windows.columns) <= MAX_WINDOWS
    tile = windows.degradation(15).crop(slice(0, 500), slice(5500, 6000))
    assert maps(tile).shape == (1, 7, min(shape[0], 500), 500)
