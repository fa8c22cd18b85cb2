"""Sheets of an LR picture restored with several kernel widths and noise levels, for choosing by eye."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import on_one_line
from srmd.config import NamedDegradation
from srmd.degradation import upsample
from srmd.evaluate.networks import Networks
from srmd.evaluate.picture import PictureEvaluation, Progress, Restored, to_array
from srmd.jpeg.tables import JpegTables
from srmd.kernel.specs import mean_width
from srmd.pictures.detail import most_detailed_part
from srmd.pictures.picture import Picture, as_floats, change_depth, quantise
from srmd.pictures.transparency import spread_visible_colours
from srmd.restore.part import BICUBIC_HALO, Part, with_halo
from srmd.restore.restorer import Restorer
from srmd.show.sheets import Panel, sheet

MAX_SHEET_WIDTH = 1600  # pixels
MIN_PANEL, MAX_PANEL = 160, 320  # sides of a panel, pixels

RestorerFor = Callable[[bool], Restorer]  # takes whether pictures have noise


@dataclass(frozen=True)
class Told:
    """A kernel and a noise level that a network is told, with their label."""

    label: str
    kernel: str | NDArray  # as `Restorer.restore` takes it
    noise_level: float
    width: float | None = None  # of an isotropic kernel in HR pixels


@dataclass(frozen=True)
class Grid:
    """Widths (HR pixels, 0: no blur) and noise levels of a sheet; where there is none, auto's choice is told."""

    widths: tuple[float, ...] = ()
    noise_levels: tuple[float, ...] = ()

    @property
    def columns(self) -> int:
        """Combinations in a row: one for each width, or for each noise level if there is one kernel."""
        return len(self.widths or self.noise_levels)

    def rows(self, auto: NamedDegradation) -> list[list[Told]]:
        """The combinations: a row for each noise level and a column for each width."""
        levels = self.noise_levels or (auto.noise,)
        if self.widths:
            return [[_told_width(width, level) for width in self.widths] for level in levels]
        kernel = auto.kernels[0]
        return [[Told(f"{kernel.spec}, noise {level:g}", kernel.array, level) for level in levels]]

    def nearest(self, auto: NamedDegradation) -> Told:
        """The combination that is nearest to auto's choice."""
        combinations = [told for row in self.rows(auto) for told in row]

        def distance(told: Told) -> tuple[float, float]:
            widths_apart = 0.0 if told.width is None else abs(told.width - mean_width(auto.kernels[0].spec))
            return abs(told.noise_level - auto.noise), widths_apart

        return min(combinations, key=distance)


def _told_width(width: float, level: float) -> Told:
    kernel = f"gaussian:{width:g}" if width else "delta"
    return Told(f"width {width:g}, noise {level:g}", kernel, level, width)


class SheetEvaluation(PictureEvaluation):
    """Makes sheets of LR pictures in place of restored pictures."""

    def restore(self, name: str, label: str, picture: Picture, progress: Progress) -> Restored:
        """The sheet of an LR picture, 8 bits; transparent pixels are shown in the colours of their neighbours."""
        start = time.perf_counter()
        lr = picture.pixels if picture.alpha is None else spread_visible_colours(picture.pixels, picture.alpha)
        assumption = self._assume(lr, label, picture.jpeg)
        grid = Grid(self.request.kernel_grid, self.request.noise_grid)
        is_sure = (assumption.estimated or {}).get("sure", True)
        jpeg = None if assumption.jpeg is None else assumption.jpeg.tables

        def restorer_for(noisy: bool) -> Restorer:
            networks = self._open_networks.networks
            return self._open_networks.restorer(networks.suiting(NamedDegradation([], noisy), jpeg is not None))

        pixels, entries = grid_sheet(
            on_one_line(Path(label).name), lr, grid, assumption.degradation, is_sure, restorer_for, jpeg
        )
        progress(lr.shape[0] * lr.shape[1])
        return Restored(pixels, None, assumption, time.perf_counter() - start, entries)


def check_grid(networks: Networks) -> None:
    """Raises InputError if noise levels are to be compared, and the only network takes none."""
    request, config = networks.settings.request, networks.main.weights.network.config
    if any(request.noise_grid) and "noise" not in config.conditions:
        found = f"{request.weights} takes no noise level, found {max(request.noise_grid):g}"
        raise InputError(found, "noise_grid")


def grid_sheet(
    name: str,
    pixels: NDArray,
    grid: Grid,
    auto: NamedDegradation,
    is_sure: bool,
    restorer_for: RestorerFor,
    jpeg: JpegTables | None = None,
) -> tuple[NDArray, dict]:
    """The sheet of an LR picture (h, w, 3), uint8 or uint16, and its entries in metrics.json.

    Its first row shows bicubic upscaling and the picture restored with auto's choice, which is marked, as is the
    combination of the grid that is nearest to it. Of a large picture only the most detailed part is restored and shown.
    `jpeg` is told to networks that take it.
    """
    restore = partial(_panel, pixels=pixels, restorer_for=restorer_for, jpeg=jpeg)
    scale = restorer_for(auto.noise > 0).config.scale
    side = panel_side(grid.columns) // scale
    part = most_detailed_part(pixels, side, side)
    rows = [
        [
            Panel("bicubic", _bicubic(pixels, part, scale)),
            restore(_auto(auto, is_sure), part=part, is_marked=True),
        ]
    ]
    nearest = grid.nearest(auto)
    rows += [
        [restore(told, part=part, is_marked=told.label == nearest.label) for told in row] for row in grid.rows(auto)
    ]
    title = f"{name}: {_describe_part(part, pixels.shape[:2])}"
    return sheet(title, rows), {"part": _part_entry(part)}


def panel_side(columns: int) -> int:
    """The side in SR pixels of a panel, so that a sheet of few columns is at most MAX_SHEET_WIDTH wide."""
    return int(np.clip(MAX_SHEET_WIDTH // max(columns, 2), MIN_PANEL, MAX_PANEL))


def _auto(auto: NamedDegradation, is_sure: bool) -> Told:
    kernel, unsure = auto.kernels[0], "" if is_sure else " (unsure)"
    return Told(f"auto{unsure}: {kernel.spec}, noise {auto.noise:g}", kernel.array, auto.noise)


def _panel(
    told: Told, pixels: NDArray, part: Part, restorer_for: RestorerFor, is_marked: bool, jpeg: JpegTables | None
) -> Panel:
    """The part of LR restored as told, in its surroundings, so that it is as in the whole restored picture."""
    restorer = restorer_for(told.noise_level > 0)
    area, inner = with_halo(part, pixels.shape[:2], restorer.config.layers, restorer.config.scale)
    jpeg = jpeg if "jpeg" in restorer.config.conditions else None
    sr = restorer.restore(pixels[area], told.kernel, told.noise_level, jpeg=jpeg)
    return Panel(told.label, change_depth(sr[inner], np.dtype(np.uint8)), is_marked)


def _bicubic(pixels: NDArray, part: Part, scale: int) -> NDArray[np.uint8]:
    area, inner = with_halo(part, pixels.shape[:2], BICUBIC_HALO, scale)
    lr = torch.from_numpy(as_floats(pixels[area])).permute(2, 0, 1)[None]
    return quantise(to_array(upsample(lr, scale))[inner], np.dtype(np.uint8))


def _part_entry(part: Part) -> dict[str, int]:
    rows, columns = part
    size = {"height": rows.stop - rows.start, "width": columns.stop - columns.start}
    return {"top": rows.start, "left": columns.start} | size


def _describe_part(part: Part, size: tuple[int, int]) -> str:
    rows, columns = part
    if (rows.stop - rows.start, columns.stop - columns.start) == size:
        return "the whole picture"
    return (
        f"its most detailed part, rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
    )
