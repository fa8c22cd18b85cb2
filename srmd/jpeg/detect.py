"""Recognises a picture that once was a JPEG by the steps of its DCT coefficients, and estimates its tables.

The coefficients of 8×8 blocks on the grid of a JPEG are multiples of a step, but for rounding; on the 63 other grids,
which a crop moves it to, and in other pictures they are not. For a frequency, a step q and the coefficients c, the
evidence is the sum of log(q · N(c - q · round(c / q); 0, σ)): the logarithm of how much more probable the distances to
the multiples are than if all distances were. Coefficients that a step rounds to 0 count only against it, because
photos have many small ones anyway. Only a part of a large picture is looked at.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from srmd.jpeg.header import NAMED_SUBSAMPLINGS
from srmd.jpeg.tables import MAX_ENTRY, JpegTables, standard_tables

BLOCK = 8
TILE, TILES_PER_SIDE = 160, 3  # the part of a large picture that is looked at: 3×3 tiles of 160×160 pixels
BINS_PER_UNIT, MAX_COEFFICIENT = 8, 512  # of histograms of coefficients; larger coefficients are left out
ROUNDING = 0.42  # standard deviation of a coefficient that is computed from pixels rounded to 8 bits
CHROMA_ROUNDING = 0.8  # that of chroma, which undoing its upsampling increases
OUTLIERS = 0.05  # share of coefficients that are no multiples, such as those of clipped pixels
GRID_FREQUENCIES = [(u, v) for u in range(5) for v in range(5) if 1 <= u + v <= 4]
MIN_EVIDENCE = 30.0  # of a JPEG, and how much more of it there must be than on the grids elsewhere
MIN_STEP_EVIDENCE = 12.0  # by which an estimated step must be better than that of the estimated quality
MIN_CHROMA_EVIDENCE = 20.0
MAX_MISSING = 0.02  # weight of pixels that are left out in a sample of chroma that is not
LUMA = np.array([0.299, 0.587, 0.114])
CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
DCT = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) / 2 for x in range(BLOCK)] for u in range(BLOCK)])
DCT[0] /= np.sqrt(2)
STEPS = np.arange(1, MAX_ENTRY + 1)
QUALITIES = range(1, 101)

Grid = tuple[int, int]  # the first row and column of a block, 0 to 7


@dataclass(frozen=True)
class _Fit:
    """The grid and the quality with the most evidence."""

    grid: Grid
    quality: int
    evidence: float
    elsewhere: float  # the most evidence on a grid with another row and another column
    planes: list[NDArray]  # luma, that the fit was found in

    @property
    def is_sure(self) -> bool:
        return self.evidence - max(self.elsewhere, 0) >= MIN_EVIDENCE


def find_jpeg(pixels: NDArray) -> JpegTables | None:
    """The estimated tables of a picture (H, W, 3), unsigned integers or floats in 0 to 1, that once was a JPEG.

    None for pictures that were not, or in which no grid can be found, as at qualities above 95.
    """
    tiles = _tiles(pixels)
    fit = _sure_fit(tiles, np.full(64, ROUNDING), np.zeros(64))
    if fit is None:
        return None
    _, luma = _estimated_table(fit.planes, fit.grid, 0)
    if all((tile == tile[..., :1]).all() for tile in tiles):
        return JpegTables(luma, luma, "4:4:4")
    chroma, subsampling = _estimated_chroma(tiles, fit)
    return JpegTables(luma, chroma, subsampling)


def find_earlier_jpeg(pixels: NDArray, tables: JpegTables) -> JpegTables | None:
    """The standard tables of an earlier, coarser compression of a JPEG with these tables; None if there is none.

    The earlier grid may start anywhere.
    """
    steps = np.clip(tables.luma, 1, MAX_ENTRY)
    # The later compression has moved coefficients by up to half of its step.
    deviations = np.sqrt(ROUNDING**2 + steps**2 / 12)
    fit = _sure_fit(_tiles(pixels), deviations, steps)
    if fit is None:
        return None
    earlier = JpegTables.of_quality(fit.quality, tables.subsampling)
    return earlier if earlier.condition.luma > tables.condition.luma else None


def _tiles(pixels: NDArray) -> list[NDArray[np.float64]]:
    """A picture as one tile, or tiles all over a large one, in 0 to 255. They start at multiples of 16 pixels."""
    spans = []
    for length in pixels.shape[:2]:
        starts = np.linspace(0, max(length - TILE, 0), TILES_PER_SIDE) // 16 * 16
        is_large = length > TILES_PER_SIDE * TILE
        spans.append([slice(int(start), int(start) + TILE) for start in starts] if is_large else [slice(0, length)])
    white = 255 / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
    return [pixels[rows, columns].astype(np.float64) * white for rows in spans[0] for columns in spans[1]]


def _sure_fit(tiles: list[NDArray], deviations: NDArray, larger_than: NDArray) -> _Fit | None:
    """The fit without the clipped pixels of a picture, which are no JPEG's any more, or else with them.

    None if there is too little evidence. A drawing or a scanned page may have clipped pixels in all of its blocks.
    """
    clipped = [((tile == 0) | (tile == 255)).any(2) for tile in tiles]
    luma = [tile @ LUMA - 128 for tile in tiles]  # as JPEG shifts it
    candidates = [[np.where(where, np.nan, plane) for where, plane in zip(clipped, luma, strict=True)]]
    if any(where.any() for where in clipped):
        candidates.append(luma)
    fits = (_fit(planes, deviations, larger_than) for planes in candidates)
    return next((fit for fit in fits if fit is not None and fit.is_sure), None)


def _fit(planes: list[NDArray], deviations: NDArray, larger_than: NDArray) -> _Fit | None:
    """The best grid and quality, by the lowest frequencies; None if the picture is smaller than two blocks.

    Steps count only if they are larger than `larger_than` and large enough to be told from noise of the standard
    deviations `deviations`, of which there are 64.
    """
    if min(planes[0].shape) < 2 * BLOCK:
        return None
    total = np.zeros((BLOCK * BLOCK, len(QUALITIES)), np.float32)
    for (u, v), histograms in _histograms_of_grids(planes).items():
        number = BLOCK * u + v
        evidence = _product(histograms, _evidence(float(deviations[number])))
        evidence[:, larger_than[number] >= STEPS] = 0
        total += evidence[:, _steps_of_qualities()[0][:, number] - 1]
    position, quality = np.unravel_index(total.argmax(), total.shape)
    row, column = divmod(int(position), BLOCK)
    by_grid = total.max(1).reshape(BLOCK, BLOCK)
    elsewhere = np.delete(np.delete(by_grid, row, 0), column, 1).max()
    return _Fit((row, column), int(quality) + 1, float(by_grid[row, column]), float(elsewhere), planes)


@cache
def _steps_of_qualities() -> NDArray[np.int64]:
    """The standard tables by quality, (2, 100, 64): luma and chroma."""
    return np.stack([standard_tables(quality) for quality in QUALITIES], 1)


def _histograms_of_grids(planes: list[NDArray]) -> dict[tuple[int, int], NDArray]:
    """For each of GRID_FREQUENCIES, the histograms (64, bins) of coefficients on the 64 grids."""
    histograms = dict.fromkeys(GRID_FREQUENCIES, 0)
    for plane in planes:
        rows = [_filter(plane, DCT[u], 0) for u in range(5)]
        for u, v in GRID_FREQUENCIES:
            histograms[u, v] = histograms[u, v] + _histograms(_filter(rows[u], DCT[v], 1))
    return histograms


def _filter(plane: NDArray, basis: NDArray, axis: int) -> NDArray:
    """The correlation of a plane with 8 weights along an axis, where they lie within it."""
    length = plane.shape[axis] - BLOCK + 1
    parts = (np.take(plane, range(start, start + length), axis) for start in range(BLOCK))
    return sum(weight * part for weight, part in zip(basis, parts, strict=True))


def _histograms(coefficients: NDArray) -> NDArray[np.float32]:
    """The histograms (64, bins) of absolute values, one for each grid, of the coefficients at all positions."""
    bins = BINS_PER_UNIT * MAX_COEFFICIENT
    grid = BLOCK * (np.arange(coefficients.shape[0]) % BLOCK)[:, None] + np.arange(coefficients.shape[1]) % BLOCK
    # NaN, of blocks with pixels that are left out, is left out like coefficients that are too large.
    index = np.rint(np.nan_to_num(np.abs(coefficients) * BINS_PER_UNIT, nan=bins)).astype(np.int64)
    kept = index < bins
    counts = np.bincount((grid * bins + index)[kept], minlength=BLOCK * BLOCK * bins)
    return counts.reshape(BLOCK * BLOCK, bins).astype(np.float32)


@cache
def _evidence(deviation: float) -> NDArray[np.float32]:
    """The evidence (bins, steps) of a coefficient for each step of 1 to 255."""
    values = np.arange(BINS_PER_UNIT * MAX_COEFFICIENT)[:, None] / BINS_PER_UNIT
    multiples = np.rint(values / STEPS)
    density = np.exp(-(((values - STEPS * multiples) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
    evidence = np.log((1 - OUTLIERS) * STEPS * density + OUTLIERS)
    evidence[:, deviation * np.sqrt(2 * np.pi * np.e) > STEPS] = 0  # such a step leaves no trace
    return np.where(multiples == 0, np.minimum(evidence, 0), evidence).astype(np.float32)


def _estimated_table(planes: list[NDArray], grid: Grid, kind: int) -> tuple[float, tuple[int, ...]]:
    """The evidence for the best quality, and the steps of all frequencies; `kind` is 0 for luma, 1 for chroma.

    They are those of this quality, except where there is much more evidence for another step.
    """
    deviation = CHROMA_ROUNDING if kind else ROUNDING
    histograms = sum(_blocks_histograms(plane, grid) for plane in planes)
    evidence = _product(histograms, _evidence(deviation))  # (64, steps)
    of_qualities = evidence[np.arange(64), _steps_of_qualities()[kind] - 1].sum(1)
    standard = _steps_of_qualities()[kind, of_qualities.argmax()]
    gain = evidence.max(1) - np.maximum(evidence[range(64), standard - 1], 0)
    steps = np.where(gain > MIN_STEP_EVIDENCE, evidence.argmax(1) + 1, standard)
    return float(of_qualities.max()), tuple(steps.tolist())


def _blocks_histograms(plane: NDArray, grid: Grid) -> NDArray[np.float32]:
    """The histograms (64, bins) of the 64 coefficients of the blocks on a grid."""
    inner = plane[grid[0] :, grid[1] :]
    height, width = (length // BLOCK for length in inner.shape)
    blocks = inner[: BLOCK * height, : BLOCK * width].reshape(height, BLOCK, width, BLOCK).swapaxes(1, 2)
    coefficients = DCT @ blocks @ DCT.T
    return _histograms(coefficients.swapaxes(1, 2).reshape(BLOCK * height, BLOCK * width))


def _estimated_chroma(tiles: list[NDArray], luma: _Fit) -> tuple[tuple[int, ...], str]:
    """The chroma table and the subsampling with the most evidence, or else those of the luma's quality in 4:2:0."""
    best = MIN_CHROMA_EVIDENCE, tuple(_steps_of_qualities()[1, luma.quality - 1].tolist()), "4:2:0"
    for factors, subsampling in NAMED_SUBSAMPLINGS.items():
        for grid, starts in _chroma_grids(luma.grid, factors):
            planes = [
                np.where(left_out, np.nan, _samples(tile @ weights, factors, starts))
                for tile, left_out in zip(tiles, _left_out(luma, factors, starts), strict=True)
                for weights in CHROMA
            ]
            evidence, table = _estimated_table(planes, grid, 1)
            if evidence > best[0]:
                best = evidence, table, subsampling
    return best[1:]


def _left_out(luma: _Fit, factors: tuple[int, int], starts: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """The samples of chroma in each tile that depend on pixels which are left out."""
    missing = (np.isnan(plane).astype(np.float64) for plane in luma.planes)
    return [np.abs(_samples(plane, factors, starts)) > MAX_MISSING for plane in missing]


def _chroma_grids(luma: Grid, factors: tuple[int, int]) -> list[tuple[Grid, tuple[int, int]]]:
    """The grids on which blocks of chroma may lie, and where its first sample starts, as rows and columns."""
    by_axis = []
    for start, factor in zip(luma, factors[::-1], strict=True):
        if factor == 1:
            by_axis.append([(start, 0)])
        else:
            by_axis.append([((start // 2 + half) % BLOCK, start % 2) for half in (0, BLOCK // 2)])
    return [((row, column), (top, left)) for row, top in by_axis[0] for column, left in by_axis[1]]


def _samples(plane: NDArray, factors: tuple[int, int], starts: tuple[int, int]) -> NDArray:
    """The samples of chroma from which libjpeg's linear upsampling has made a plane."""
    plane = plane[starts[0] :, starts[1] :]
    if factors[1] == 2:
        plane = _halve_rows(plane)
    if factors[0] == 2:
        plane = _halve_rows(plane.T).T
    return plane


def _halve_rows(plane: NDArray) -> NDArray:
    """Rows whose upsampling gave the rows of a plane: the mean of each pair is (before + 6 · row + after) / 8."""
    count = len(plane) // 2
    means = (plane[0 : 2 * count : 2] + plane[1 : 2 * count : 2]) / 2
    mixing = (6 * np.eye(count) + np.eye(count, k=1) + np.eye(count, k=-1)) / 8
    mixing[0, 0] = mixing[-1, -1] = 7 / 8
    return torch.linalg.solve(torch.from_numpy(mixing), torch.from_numpy(means)).numpy()


def _product(left: NDArray, right: NDArray) -> NDArray:
    """The product of two matrices, on the threads that PyTorch may use.

    NumPy would use all processors. Where these are busy, its threads wait for each other: it took 20 times as long.
    """
    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
