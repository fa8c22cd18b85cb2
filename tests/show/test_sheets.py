"""Sheets of labelled panels."""

import numpy as np
from PIL import ImageColor

from srmd.show.pictures import LABEL_HEIGHT, MARK_COLOUR, PANEL_GAP
from srmd.show.sheets import Panel, sheet

SIZE = 60, 90


def panel(grey, marked=False):
    return Panel(f"grey {grey}", np.full((*SIZE, 3), grey, np.uint8), marked)


def test_panels_stand_in_rows_below_the_title():
    picture = sheet("a title", [[panel(10), panel(20), panel(30)], [panel(40)]])
    row_height = LABEL_HEIGHT + SIZE[0]
    assert picture.shape == (LABEL_HEIGHT + 2 * (PANEL_GAP + row_height), 3 * SIZE[1] + 2 * PANEL_GAP, 3)
    top = LABEL_HEIGHT + PANEL_GAP + LABEL_HEIGHT
    for number, grey in enumerate((10, 20, 30)):
        left = number * (SIZE[1] + PANEL_GAP)
        assert (picture[top : top + SIZE[0], left : left + SIZE[1]] == grey).all()
    top += PANEL_GAP + row_height
    assert (picture[top : top + SIZE[0], : SIZE[1]] == 40).all()
    assert (picture[top : top + SIZE[0], SIZE[1] :] == 255).all()
    assert (picture[:LABEL_HEIGHT] < 128).any()  # the title


def test_only_marked_labels_are_coloured():
    picture = sheet("title", [[panel(10), panel(20, marked=True)]])
    labels = picture[LABEL_HEIGHT + PANEL_GAP :][:LABEL_HEIGHT]
    is_coloured = (labels == ImageColor.getrgb(MARK_COLOUR)).all(-1)
    assert not is_coloured[:, : SIZE[1] + PANEL_GAP].any()
    assert is_coloured[:, SIZE[1] + PANEL_GAP :].mean() > 0.5
