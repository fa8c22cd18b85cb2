"""Symmetric 2×2 matrices by their principal values."""

import numpy as np
import pytest

from srmd.base.principal import principal_values, symmetric_matrix


@pytest.mark.parametrize(("degrees", "expected"), [(0, (4, 0, 1)), (90, (1, 0, 4)), (45, (2.5, 1.5, 2.5))])
def test_the_first_value_has_the_direction_of_the_angle(degrees, expected):
    assert np.allclose(symmetric_matrix(4, 1, degrees), expected)


def test_both_are_inverse_for_arrays():
    values1, values2, angles = np.array([4.0, 9.0, 2.0]), np.array([1.0, 0.0, -1.0]), np.array([0.0, 30.0, 170.0])
    assert np.allclose(principal_values(symmetric_matrix(values1, values2, angles)), (values1, values2, angles))


def test_equal_values_have_the_angle_0():
    assert np.allclose(principal_values(np.array([4.0, 0.0, 4.0])), (4, 4, 0))
