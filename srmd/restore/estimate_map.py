"""A smooth map of blur and noise over a picture, from estimates of overlapping windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.base.principal import principal_values, symmetric_matrix
from srmd.degradation import Degradation
from srmd.jpeg.tables import JpegTables
from srmd.kernel.families import gaussian
from srmd.pictures.dihedral import turn
from srmd.restore.estimate import BlindEstimator, Estimate

WINDOW = 48  # side of a window, LR pixels
STEP = 24  # between the centres of two windows, LR pixels, in pictures of up to MAX_WINDOWS windows
MAX_WINDOWS = 1024  # of a picture; in a larger picture the windows lie farther apart
SMOOTHING = 0.5  # standard deviation, in steps, of the Gaussian that smooths the estimates
MIN_WIDTH = 1e-3  # HR pixels; the Gaussian of a smaller width is a delta kernel anyway
MIN_WEIGHT = 0.05  # sum of weights, relative to one sure window, below which more distant windows are used

Window = tuple[slice, slice, Estimate]  # rows and columns of LR, and what was estimated in them


@dataclass(frozen=True, kw_only=True)
class GridDegradation(Degradation):
    """A degradation whose parts lie on a grid over the picture, and which is interpolated between them.

    Its M = gh·gw parts, in row-major order, are mixed with the weights `row_weights[y, i]` · `column_weights[x, j]`.
    Only these two small matrices are kept, so that a large picture takes little memory.
    """

    row_weights: Tensor  # (h, gh), sum 1 over gh
    column_weights: Tensor  # (w, gw), sum 1 over gw

    def crop(self, rows: slice, columns: slice) -> "GridDegradation":
        """The degradation of a crop of the picture; `rows` and `columns` are on the LR grid."""
        return replace(self, row_weights=self.row_weights[rows], column_weights=self.column_weights[columns])

    def turned(self, view: int) -> "GridDegradation":
        """The degradation of the picture turned by `turn(picture, view)`; the kernels are turned with it."""
        rows, columns = self.row_weights, self.column_weights
        order = torch.arange(self.noise_levels.shape[1]).reshape(rows.shape[1], columns.shape[1])
        for _ in range(view % 4):  # a turn by 90° counterclockwise transposes the picture, then reverses its rows
            rows, columns, order = columns.flip(0), rows, order.T
        if view >= 4:
            columns = columns.flip(0)
        order = order.flatten()
        kernels, noise_levels = turn(self.kernels[:, order], view), self.noise_levels[:, order]
        return replace(
            self, kernels=kernels, noise_levels=noise_levels, row_weights=rows.contiguous(), column_weights=columns
        )

    def mix(self, parts: Tensor) -> Tensor:
        """Parts (N, M, C) interpolated to (N, C, h, w)."""
        size = self.row_weights.shape[1], self.column_weights.shape[1]
        grid = parts.unflatten(1, size).permute(0, 3, 1, 2)
        return self.row_weights.to(grid) @ grid @ self.column_weights.to(grid).T


@dataclass(frozen=True)
class EstimateMap:
    """Estimates on a grid of overlapping windows of an LR picture."""

    size: tuple[int, int]  # height and width of LR
    rows: tuple[float, ...]  # centres of the windows, LR pixels
    columns: tuple[float, ...]
    estimates: tuple[tuple[Estimate, ...], ...]  # a tuple for each row of windows

    @classmethod
    def from_windows(cls, windows: Sequence[Window], size: tuple[int, int]) -> "EstimateMap":
        """The map of windows that form a grid, in any order."""
        by_centre = {(_centre(rows), _centre(columns)): estimate for rows, columns, estimate in windows}
        rows = tuple(sorted({row for row, _ in by_centre}))
        columns = tuple(sorted({column for _, column in by_centre}))
        return cls(size, rows, columns, tuple(tuple(by_centre[row, column] for column in columns) for row in rows))

    def smoothed(self) -> tuple[NDArray, NDArray]:
        """Covariances (gh, gw, 3), of columns, both and rows, in HR pixels squared, and noise levels (gh, gw).

        They are weighted means over sure windows, in which near windows count most, so that an unsure window gets the
        values of its sure neighbours. Before that, each window gets the highest noise level of its neighbours, because
        in a window of which only a part is noisy the estimated level is too low, which costs more than one too high.
        """
        from scipy.ndimage import maximum_filter

        values = np.array([[(*_covariance(each), each.noise_level) for each in row] for row in self.estimates])
        sure = np.array([[each.confidence if each.is_sure else 0.0 for each in row] for row in self.estimates])
        if not sure.any():
            sure[:] = 1
        values[..., 3] = maximum_filter(values[..., 3] * (sure > 0), 3, mode="nearest")
        means = _weighted_means(values, sure)
        return means[..., :3], means[..., 3]

    def mean(self) -> tuple[tuple[float, float], float, float]:
        """Widths, angle and noise level of the mean of the map."""
        covariances, noise_levels = self.smoothed()
        widths, angle = _shape_of(covariances.mean((0, 1)))
        return widths, angle, float(noise_levels.mean())

    def entry(self) -> dict[str, Any]:
        """The estimates as JSON values: the centres of the windows, and a list for each row of windows."""
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "kernel": [[each.kernel_spec for each in row] for row in self.estimates],
            "noise_level": [[each.noise_level for each in row] for row in self.estimates],
            "confidence": [[each.confidence for each in row] for row in self.estimates],
            "sure": [[each.is_sure for each in row] for row in self.estimates],
        }

    def describe(self) -> str:
        """The range of the map in words, such as `widths 0.6 to 1.8, noise 0 to 20, from 7×7 windows, 40 sure`."""
        covariances, noise_levels = self.smoothed()
        widths = [_shape_of(covariance)[0][0] for covariance in covariances.reshape(-1, 3)]
        widths = [0.0 if np.isclose(width, MIN_WIDTH) else width for width in widths]  # no blur
        count = sum(estimate.is_sure for row in self.estimates for estimate in row)
        windows = f"{len(self.rows)}×{len(self.columns)} windows, {count} sure"
        levels = f"noise {noise_levels.min():.3g} to {noise_levels.max():.3g}"
        return f"widths {min(widths):.2g} to {max(widths):.2g}, {levels}, from {windows}"

    def degradation(self, window: int) -> GridDegradation:
        """What a network is told of the picture, with kernels of `window`×`window`."""
        covariances, noise_levels = self.smoothed()
        kernels = [_gaussian_of(covariance, window) for covariance in covariances.reshape(-1, 3)]
        return GridDegradation(
            torch.from_numpy(np.stack(kernels))[None],
            torch.from_numpy(noise_levels.reshape(1, -1)),
            row_weights=torch.from_numpy(_hat_weights(self.size[0], self.rows)),
            column_weights=torch.from_numpy(_hat_weights(self.size[1], self.columns)),
        )


def estimate_map(estimator: BlindEstimator, pixels: NDArray, jpeg: JpegTables | None = None) -> EstimateMap:
    """Estimates blur and noise in at most MAX_WINDOWS windows of LR (h, w, 3), which may have been a JPEG."""
    height, width = pixels.shape[:2]
    overlap = WINDOW - _step(height, width)
    windows = estimator.estimate_windows(pixels, WINDOW, overlap, jpeg)
    return EstimateMap.from_windows(windows, (height, width))


def _step(height: int, width: int) -> int:
    """LR pixels from a window to the next: STEP, or as many more as MAX_WINDOWS needs."""
    step = STEP
    while math.prod(ceil_div(max(length - WINDOW, 0), step) + 1 for length in (height, width)) > MAX_WINDOWS:
        step += 1
    return step


def _centre(span: slice) -> float:
    return (span.start + span.stop - 1) / 2


def _covariance(estimate: Estimate) -> NDArray:
    """The covariance (3,) of an estimated kernel: of columns, of both, of rows."""
    long, short = estimate.widths
    return symmetric_matrix(long**2, short**2, estimate.angle)


def _shape_of(covariance: NDArray) -> tuple[tuple[float, float], float]:
    """Widths of at least MIN_WIDTH, the larger one first, and angle of the Gaussian with a covariance (3,)."""
    *variances, angle = principal_values(covariance)
    long, short = (max(math.sqrt(max(variance, 0)), MIN_WIDTH) for variance in variances)
    return (long, short), float(angle)


def _gaussian_of(covariance: NDArray, window: int) -> NDArray:
    """The Gaussian kernel (window, window) with a covariance (3,)."""
    widths, angle = _shape_of(covariance)
    return gaussian(*widths, angle, size=window)


def _weighted_means(values: NDArray, weights: NDArray) -> NDArray:
    """Means of values (gh, gw, C) under a Gaussian around each position, with weights (gh, gw).

    Where it covers no weight, a wider Gaussian is used.
    """
    from scipy.ndimage import gaussian_filter

    means, is_missing, width = np.zeros_like(values), np.ones(weights.shape, bool), SMOOTHING
    while is_missing.any():
        total = gaussian_filter(weights, width, mode="constant")
        sums = gaussian_filter(values * weights[..., None], (width, width, 0), mode="constant")
        is_found = is_missing & (2 * np.pi * width**2 * total > MIN_WEIGHT)
        means[is_found] = sums[is_found] / total[is_found][:, None]
        is_missing &= ~is_found
        width *= 2
    return means


def _hat_weights(length: int, centres: Sequence[float]) -> NDArray[np.float32]:
    """The weights (length, centres) of linear interpolation between centres, constant beyond the outermost ones."""
    unit_vectors = np.eye(len(centres))
    positions = np.arange(length)
    columns = [np.interp(positions, centres, unit) for unit in unit_vectors]
    return np.stack(columns, 1).astype(np.float32)
