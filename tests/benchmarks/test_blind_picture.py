"""The picture of too narrow and too wide kernels."""

import numpy as np
import pytest

from benchmarks.blind_picture import ROWS, SIDE, ZOOM, panels


@pytest.mark.slow
def test_the_marked_assumption_is_the_best_one():
    drawn = panels(ROWS[0])
    assert all(panel.pixels.shape == (SIDE * ZOOM, SIDE * ZOOM, 3) for panel in drawn)
    psnr = {panel.label: float(panel.label.split()[-2]) for panel in drawn if panel.label != "LR"}
    (marked,) = [panel.label for panel in drawn if panel.is_marked]
    assert marked == max(psnr, key=psnr.get)
    assert len({np.round(value) for value in psnr.values()}) > 3  # the panels differ
