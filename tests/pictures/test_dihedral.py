"""The 8 flips and rotations of a picture."""

import numpy as np
import pytest
import torch

from srmd.pictures.dihedral import VIEWS, turn, turn_array, turn_back


@pytest.fixture
def picture() -> np.ndarray:
    """A picture (3, 4, 3) whose values all differ."""
    return np.arange(36).reshape(3, 4, 3)


@pytest.mark.parametrize("view", range(VIEWS))
def test_a_view_of_an_array_is_that_of_a_tensor(picture: np.ndarray, view: int):
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    np.testing.assert_array_equal(turn_array(picture, view), turn(tensor, view).permute(1, 2, 0))


@pytest.mark.parametrize("view", range(VIEWS))
def test_turning_back_undoes_a_turn(picture: np.ndarray, view: int):
    tensor = torch.from_numpy(picture)
    assert torch.equal(turn_back(turn(tensor, view), view), tensor)


def test_all_views_differ(picture: np.ndarray):
    square = picture[:, :3, 0]
    assert len({turn_array(square, view).tobytes() for view in range(VIEWS)}) == VIEWS


def test_the_views_are_numbered_as_documented(picture: np.ndarray):
    np.testing.assert_array_equal(turn_array(picture, 0), picture)
    for view in (1, 2, 3):
        np.testing.assert_array_equal(turn_array(picture, view), np.rot90(picture, view))  # counterclockwise
    for view in (4, 5, 6, 7):
        np.testing.assert_array_equal(turn_array(picture, view), np.fliplr(turn_array(picture, view - 4)))
