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
    """The inverse of `symmetric_matrix`: value1 ≥ value2 and the angle, from 0 to below 180 degrees."""
    values, vectors = np.linalg.eigh(entries[..., [[0, 1], [1, 2]]])
    angle = np.rad2deg(np.arctan2(vectors[..., 1, 1], vectors[..., 0, 1])) % 180
    return values[..., 1], values[..., 0], angle
