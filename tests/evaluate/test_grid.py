"""Sheets of a picture restored with every combination of kernel widths and noise levels."""

import numpy as np
import pytest
from PIL import ImageColor

from srmd.config import NamedDegradation, NamedKernel
from srmd.degradation import degrade_picture
from srmd.evaluate.grid import Grid, grid_sheet, panel_side
from srmd.kernel.families import delta, gaussian
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import load
from srmd.show.pictures import LABEL_HEIGHT, MARK_COLOUR, PANEL_GAP

LR = degrade_picture(builtin_test_pictures()["coffee"][60:360, 170:490], "gaussian:1.2", 6, 2)  # 150×160
MARK = np.array(ImageColor.getrgb(MARK_COLOUR))
AUTO = NamedDegradation([NamedKernel("gaussian:1.25,1.15,40", gaussian(1.25, 1.15, 40))], 5.6)


@pytest.fixture(autouse=True)
def columns_as_wide_as_the_panels(monkeypatch):
    """The columns of these small panels are not widened for their labels, so that tests know where a panel is."""
    for module in ("pictures", "sheets"):
        monkeypatch.setattr(f"srmd.show.{module}.label_width", lambda labels: 0)


@pytest.fixture(scope="module")
def networks():
    return {noisy: load(name, "cpu", "fp32", "torch") for noisy, name in ((False, "srmdnf_x2"), (True, "srmd_x2"))}


def panel(sheet, row, column, side):
    """Label and pixels of a panel, counted from 0; row 0 holds bicubic and auto."""
    top = LABEL_HEIGHT + row * (PANEL_GAP + LABEL_HEIGHT + side) + PANEL_GAP
    left = column * (PANEL_GAP + side)
    columns = slice(left, left + side)
    return sheet[top : top + LABEL_HEIGHT, columns], sheet[top + LABEL_HEIGHT :][:side, columns]


def is_marked(label):
    return (label == MARK).all(-1).mean() > 0.4


def test_panels_show_the_part_of_the_whole_restored_picture(networks, monkeypatch):
    monkeypatch.setattr("srmd.evaluate.grid.MAX_SHEET_WIDTH", 480)
    monkeypatch.setattr("srmd.evaluate.grid.MIN_PANEL", 60)
    lr = LR[30:120, 30:130]
    sheet, entry = grid_sheet("coffee", lr, Grid((0, 1.2, 2, 3), (0, 5)), AUTO, True, networks.get)
    side = panel_side(4)
    part = entry["part"]
    assert (part["height"], part["width"]) == (side // 2, side // 2)
    top, left = 2 * part["top"], 2 * part["left"]
    for row, column, kernel, level in [(1, 0, "delta", 0), (1, 2, "gaussian:2", 0), (2, 1, "gaussian:1.2", 5)]:
        whole = networks[level > 0].restore(lr, kernel, level)
        _, pixels = panel(sheet, row, column, side)
        expected = whole[top : top + side, left : left + side].astype(int)
        assert np.abs(pixels - expected).max() <= 1
    auto = networks[True].restore(lr, "gaussian:1.25,1.15,40", 5.6)[top : top + side, left : left + side].astype(int)
    assert np.abs(panel(sheet, 0, 1, side)[1] - auto).max() <= 1


def test_the_estimate_and_the_nearest_combination_are_marked(networks, monkeypatch):
    monkeypatch.setattr("srmd.evaluate.grid.MAX_SHEET_WIDTH", 480)
    sheet, _ = grid_sheet("coffee", LR, Grid((0.5, 1.3, 2), (0, 5)), AUTO, True, networks.get)
    side = panel_side(3)
    marked = [(r, c) for r in range(3) for c in range(3) if is_marked(panel(sheet, r, c, side)[0])]
    assert marked == [(0, 1), (2, 1)]


def test_without_noise_levels_the_given_or_estimated_one_is_told():
    assert {told.noise_level for row in Grid((0, 1)).rows(AUTO) for told in row} == {5.6}


def test_without_widths_the_given_or_estimated_kernel_is_told():
    (row,) = Grid((), (0, 5)).rows(AUTO)
    labels = ["gaussian:1.25,1.15,40, noise 0", "gaussian:1.25,1.15,40, noise 5"]
    assert [told.label for told in row] == labels
    assert [told.noise_level for told in row] == [0, 5]
    assert all(told.kernel is AUTO.kernels[0].array for told in row)


@pytest.mark.parametrize(
    ("spec", "noise", "nearest"),
    [
        ("delta", 0.0, (0, 0)),
        ("gaussian:1.4", 4.0, (1.5, 5)),
        ("gaussian:2,0.5,30", 2.0, (0.8, 0)),
        ("gaussian:9", 99.0, (1.5, 5)),
    ],
)
def test_the_nearest_combination(spec, noise, nearest):
    auto = NamedDegradation([NamedKernel(spec, delta())], noise)
    told = Grid((0, 0.8, 1.5), (0, 5)).nearest(auto)
    assert (told.width, told.noise_level) == nearest


@pytest.mark.parametrize("size", [(20, 31), (150, 31)])
def test_a_small_picture_is_shown_whole(networks, size):
    sheet, entry = grid_sheet("small", LR[: size[0], : size[1]], Grid((0, 1)), AUTO, True, networks.get)
    assert entry["part"] == {"top": 0, "left": 0, "height": size[0], "width": size[1]}
    row_height = PANEL_GAP + LABEL_HEIGHT + 2 * size[0]
    assert sheet.shape == (LABEL_HEIGHT + 2 * row_height, 2 * 2 * size[1] + PANEL_GAP, 3)


def test_grey_and_16_bit_pictures_give_8_bit_sheets(networks):
    grey = np.repeat(LR[:40, :40, :1].astype(np.uint16) * 257, 3, axis=2)
    sheet, _ = grid_sheet("grey", grey, Grid((0, 1)), AUTO, True, networks.get)
    assert sheet.dtype == np.uint8
    pixels = panel(sheet, 1, 0, 80)[1]
    assert (pixels == pixels[..., :1]).all()
    assert pixels.std() > 5
