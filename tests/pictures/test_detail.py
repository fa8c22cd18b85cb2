"""The most detailed part of a picture."""

import numpy as np
import pytest

from srmd.pictures.detail import BLOCK, most_detailed_part

RNG = np.random.default_rng(0)


def flat_picture_with_texture(height, width, rows, columns):
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[rows, columns] = RNG.integers(0, 256, picture[rows, columns].shape)
    return picture


@pytest.mark.parametrize("corner", [(0, 0), (40, 72), (96, 120)])
def test_the_part_covers_the_only_texture(corner):
    rows, columns = (slice(start, start + 32) for start in corner)
    picture = flat_picture_with_texture(128, 152, rows, columns)
    assert most_detailed_part(picture, 32, 32) == (rows, columns)


def test_texture_at_a_border_that_no_block_ends_at_is_found():
    picture = flat_picture_with_texture(101, 91, slice(69, 101), slice(59, 91))
    rows, columns = most_detailed_part(picture, 32, 32)
    assert (rows.start, columns.start) == (64, 56)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 32)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5), (BLOCK, BLOCK), (31, 33)])
def test_a_small_picture_is_its_own_part(size):
    picture = flat_picture_with_texture(*size, slice(None), slice(None))
    assert most_detailed_part(picture, 64, 64) == (slice(0, size[0]), slice(0, size[1]))


def test_parts_stay_inside_of_the_picture():
    for height, width in [(50, 71), (64, 64), (65, 97)]:
        picture = RNG.integers(0, 65536, (height, width, 3)).astype(np.uint16)
        rows, columns = most_detailed_part(picture, 43, 61)
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
