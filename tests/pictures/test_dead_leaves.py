"""Drawn pictures of dead leaves."""

import numpy as np

from srmd.pictures.dead_leaves import dead_leaves


def test_dead_leaves_depend_on_their_seed_alone():
    first = dead_leaves(96, 3)
    assert first.shape == (96, 96, 3)
    np.testing.assert_array_equal(first, dead_leaves(96, 3))
    assert (first != dead_leaves(96, 4)).any()


def test_dead_leaves_have_edges_and_flat_areas_as_photos_have():
    picture = dead_leaves(192, 0).astype(float)
    steps = np.abs(np.diff(picture.mean(2), axis=1))
    assert 35 < picture.std() < 80
    assert np.median(steps) < 8
    assert np.quantile(steps, 0.98) > 60
