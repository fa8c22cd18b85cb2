"""Dead leaves, and downsampling by means of blocks."""

import numpy as np

from srmd.pictures.dead_leaves import box_downsample, dead_leaves


def test_a_picture_depends_on_its_seed_only():
    first = dead_leaves(96, 3)
    assert first.shape == (96, 96, 3)
    np.testing.assert_array_equal(first, dead_leaves(96, 3))
    assert (first != dead_leaves(96, 4)).any()


def test_pictures_have_edges_and_smooth_areas_as_photos_have():
    picture = dead_leaves(192, 0).astype(float)
    differences = np.abs(np.diff(picture.mean(2), axis=1))  # of neighbouring pixels
    assert 35 < picture.std() < 80
    assert np.median(differences) < 8
    assert np.quantile(differences, 0.98) > 60


def test_downsampling_takes_means_of_blocks_and_cuts_incomplete_ones():
    pixels = np.zeros((5, 4, 3), np.uint8)
    pixels[:2, :2] = [[[10], [20]], [[30], [40]]]
    downsampled = box_downsample(pixels, 2)
    assert downsampled.shape == (2, 2, 3)
    assert downsampled[:, :, 0].tolist() == [[25, 0], [0, 0]]
