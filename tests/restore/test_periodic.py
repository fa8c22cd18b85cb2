"""Patterns that repeat tell nothing of blur and noise; photos do."""

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

import srmd
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.estimate import MAX_LINE_SHARE, BlindEstimator
from srmd.restore.periodic import line_share

estimator = functools.cache(BlindEstimator)


def pattern(kind: str, width: int, side: int = 96) -> NDArray[np.uint8]:
    """A checkerboard or stripes, (side, side, 3), with fields `width` pixels wide."""
    row, column = np.mgrid[:side, :side] // width
    fields = {"checkerboard": row + column, "columns": column, "rows": row}[kind] % 2
    return np.repeat((255 * fields).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("kind", ["checkerboard", "columns", "rows"])
def test_a_pattern_that_repeats_tells_nothing(kind: str, width: int, scale: int):
    found = estimator(scale).estimate(pattern(kind, width))
    assert (found.kernel_spec, found.noise_level, found.confidence) == ("delta", 0, 0)


@pytest.mark.parametrize("scale", [3, 4])
def test_a_blur_beyond_the_range_of_training_is_unsure(scale: int):
    picture = pattern("checkerboard", 3, 32)  # too small to show lines
    assert line_share(picture) < MAX_LINE_SHARE
    found = estimator(scale).estimate(picture)
    assert (found.kernel_spec, found.is_sure) == ("delta", False)


def test_what_is_known_of_a_pattern_is_returned():
    picture = pattern("checkerboard", 1)
    assert srmd.estimate(picture, 2, noise_level=6).noise_level == 6
    found = srmd.estimate(picture, 2, kernel="gaussian:2,1,30")
    assert (found.kernel_spec, found.noise_level) == ("gaussian:2,1,30", 0)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("kind", ["checkerboard", "columns"])
def test_the_energy_of_a_pattern_lies_in_few_frequencies(kind: str, width: int):
    assert line_share(pattern(kind, width)) > 0.99
    assert line_share(pattern(kind, width, 48)) > MAX_LINE_SHARE  # the size of a window of a map


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_the_energy_of_a_photo_does_not(share: float, scale: int):
    for photo in builtin_test_pictures().values():
        hr = photo[: 12 * (len(photo) // 12), : 12 * (photo.shape[1] // 12)]
        lr = srmd.degrade(hr, f"gaussian:{share * scale}" if share else "delta", 0, scale=scale)
        assert line_share(lr) < MAX_LINE_SHARE - 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (16, 16)])
def test_one_colour_has_no_lines(shape: tuple[int, int]):
    assert line_share(np.full((*shape, 3), 120, np.uint8)) == 0
