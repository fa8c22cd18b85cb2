"""Sheets of labelled panels."""

import numpy as np
from PIL import ImageColor, ImageFont

from srmd.show.pictures import LABEL_HEIGHT, MARK_COLOUR, MIN_LABEL_FONT_SIZE, PANEL_GAP
from srmd.show.sheets import Panel, sheet

SIZE = 60, 90
BLUE = (0, 0, 200)


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


def test_labels_that_are_longer_than_small_panels_are_whole():
    """Of a sheet of pictures 2 pixels wide, a letter or two of each label was to be seen."""
    label = "auto: gaussian:1.4,1.1,30, noise 6"
    small = [Panel(each, np.full((8, 2, 3), BLUE, np.uint8)) for each in ("bicubic", label)]
    picture = sheet("a title that is long: the whole picture", [small, [Panel("width 0", small[0].pixels)]])
    column = (picture.shape[1] - PANEL_GAP) // 2
    assert column >= ImageFont.load_default(MIN_LABEL_FONT_SIZE).getlength(label)
    strip = picture[LABEL_HEIGHT + PANEL_GAP :][:LABEL_HEIGHT]
    assert (strip[:, -1] == 255).all()  # nothing is cut off at the right
    panels = (picture == BLUE).all(-1)
    assert panels.sum() == 3 * 8 * 2
    columns = np.nonzero(panels)[1]
    assert len(set(columns)) == 2 * 2  # the panel of the second row stands below the first one of the first row


def test_only_marked_labels_are_coloured():
    picture = sheet("title", [[panel(10), panel(20, marked=True)]])
    labels = picture[LABEL_HEIGHT + PANEL_GAP :][:LABEL_HEIGHT]
    is_coloured = (labels == ImageColor.getrgb(MARK_COLOUR)).all(-1)
    assert not is_coloured[:, : SIZE[1] + PANEL_GAP].any()
    assert is_coloured[:, SIZE[1] + PANEL_GAP :].mean() > 0.5
