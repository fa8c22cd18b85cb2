"""Sheets of labelled panels: one picture restored in several ways."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from srmd.show.pictures import LABEL_HEIGHT, PANEL_GAP, comparison, draw_label, label_width


@dataclass(frozen=True)
class Panel:
    """A picture (H, W, 3) uint8 of a sheet, with its label; a marked one has a label on a coloured ground."""

    label: str
    pixels: np.ndarray
    is_marked: bool = False


def sheet(title: str, rows: list[list[Panel]]) -> np.ndarray:
    """Rows of panels, all of one size, below a title, as one picture (H, W, 3) uint8. Labels are unique in a row."""
    column = label_width(panel.label for row in rows for panel in row)
    strips = [_strip(row, column) for row in rows]
    width = max(label_width([title]), *(strip.shape[1] for strip in strips))
    parts = [_title_strip(title, width)]
    for strip in strips:
        gap = (PANEL_GAP, 0), (0, width - strip.shape[1]), (0, 0)
        parts.append(np.pad(strip, gap, constant_values=255))
    return np.concatenate(parts)


def _strip(row: list[Panel], min_width: int) -> np.ndarray:
    marked = {panel.label for panel in row if panel.is_marked}
    return comparison({panel.label: panel.pixels for panel in row}, marked, min_width)


def _title_strip(title: str, width: int) -> np.ndarray:
    strip = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    draw_label(ImageDraw.Draw(strip), title, (width / 2, LABEL_HEIGHT / 2), width)
    return np.asarray(strip)
