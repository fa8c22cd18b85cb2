"""Symmetric 2×2 matrices, such as covariances, by their principal values and the direction of the first one."""

import numpy as np
from numpy.typing import NDArray


def symmetric_matrix(value1: float | NDArray, value2: float | NDArray, angle: float | NDArray) -> NDArray:
    """The entries (..., 3) of the matrix with these principal values: (column, column), (column, row), (row, row).

    The first value has the direction (cos angle, sin angle) in (column, row), in degrees.
    """
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    of_columns = value1 * cosine**2 + value2 * sine**2
    of_rows = value1 * sine**2 + value2 * cosine**2
    return np.stack([of_columns, (value1 - value2) * cosine * sine, of_rows], -1)


def principal_values(entries: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The inverse of `symmetric_matrix`: value1 ≥ value2 and the angle, 0 to 180 degrees; 0 if both are equal."""
    of_columns, of_both, of_rows = np.moveaxis(np.asarray(entries), -1, 0)
    mean = (of_columns + of_rows) / 2
    half_difference = np.hypot((of_columns - of_rows) / 2, of_both)
    # By formula, because `np.linalg.eigh` gives a round matrix the angle 90.
    angle = np.rad2deg(np.arctan2(2 * of_both, of_columns - of_rows)) / 2 % 180
    return mean + half_difference, mean - half_difference, angle
