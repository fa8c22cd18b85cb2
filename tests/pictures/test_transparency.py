"""Colours of transparent pixels, and constant areas of alpha."""

import numpy as np
import pytest

from srmd.pictures.transparency import MARGIN, ROWS_PER_STRIP, is_constant, spread_visible_colours


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_transparent_pixels_get_the_nearest_visible_colour(dtype: type):
    white = np.iinfo(dtype).max if dtype != np.float32 else 1
    pixels = np.zeros((9, 9, 3), dtype)
    pixels[4, 2], pixels[4, 6] = (white, 0, 0), (0, 0, white)
    alpha = np.zeros((9, 9), dtype)
    alpha[4, [2, 6]] = white
    filled = spread_visible_colours(pixels, alpha)
    assert (filled[:, :4] == (white, 0, 0)).all()
    assert (filled[:, 5:] == (0, 0, white)).all()
    assert pixels[0, 0].max() == 0  # the input is unchanged


def test_colours_that_can_be_seen_are_kept_within_3_levels():
    rng = np.random.default_rng(0)
    pixels, alpha = rng.integers(0, 256, (64, 64, 3), np.uint8), rng.integers(0, 256, (64, 64), np.uint8)
    filled = spread_visible_colours(pixels, alpha)
    opacity = alpha[..., None] / 255
    assert (np.abs(filled.astype(float) - pixels) * opacity).max() <= 3.1
    np.testing.assert_array_equal(filled[alpha >= 8], pixels[alpha >= 8])


def test_without_a_visible_pixel_the_least_transparent_ones_are_spread():
    pixels = np.zeros((5, 5, 3), np.uint8)
    pixels[2, 2] = 200
    alpha = np.zeros((5, 5), np.uint8)
    np.testing.assert_array_equal(spread_visible_colours(pixels, alpha), pixels)
    alpha[2, 2] = 3
    assert (spread_visible_colours(pixels, alpha) == 200).all()


def test_colours_are_spread_across_the_borders_of_strips():
    height = 2 * ROWS_PER_STRIP + 5
    pixels = np.zeros((height, 3, 3), np.uint8)
    alpha = np.zeros((height, 3), np.uint8)
    pixels[ROWS_PER_STRIP + 1], alpha[ROWS_PER_STRIP + 1] = 77, 255  # visible pixels of the second strip
    filled = spread_visible_colours(pixels, alpha)
    assert (filled[ROWS_PER_STRIP + 1 - MARGIN : 2 * ROWS_PER_STRIP] == 77).all()


def test_a_pixel_is_constant_if_the_5x5_pixels_around_it_are_equal():
    alpha = np.zeros((9, 9), np.uint8)
    alpha[4, 4] = 1
    expected = np.ones((9, 9), bool)
    expected[2:7, 2:7] = False
    np.testing.assert_array_equal(is_constant(alpha), expected)
