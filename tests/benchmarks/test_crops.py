"""Crops of the pictures that benchmarks score."""

import numpy as np
import pytest
import torch

from benchmarks.crops import middle, modcrop_picture
from srmd.degradation import modcrop

PICTURE = np.arange(7 * 10 * 3).reshape(7, 10, 3)


@pytest.mark.parametrize(
    ("side", "rows", "columns"),
    [(4, slice(1, 5), slice(3, 7)), (8, slice(7), slice(1, 9)), (10, slice(7), slice(10))],
)
def test_the_middle_has_at_most_this_side_and_as_much_is_cut_at_both_ends(side: int, rows: slice, columns: slice):
    np.testing.assert_array_equal(middle(PICTURE, side), PICTURE[rows, columns])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_arrays_are_cropped_to_multiples_of_the_scale_as_tensors_are(scale: int):
    expected = modcrop(torch.from_numpy(PICTURE).permute(2, 0, 1)[None], scale)[0].permute(1, 2, 0)
    np.testing.assert_array_equal(modcrop_picture(PICTURE, scale), expected)
