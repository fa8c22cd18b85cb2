"""The final size of restored pictures."""

import numpy as np
import pytest
import torch

from srmd.degradation import imresize
from srmd.evaluate.resize import final_size, resize_picture


@pytest.mark.parametrize("size", [(40, 700), (300, 31), (1, 1), (257, 521), (200, 300)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_in_blocks_equals_imresize(size: tuple[int, int], channels: int):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (200, 300, channels), np.uint16)
    tensor = torch.from_numpy(pixels / 65535).permute(2, 0, 1)[None]
    expected = imresize(tensor, *size)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    resized = resize_picture(pixels, size, np.uint16)
    assert resized.shape == (*size, channels)
    assert np.abs(resized / 65535 - expected).max() < 2e-5
    assert np.abs(resize_picture(pixels, size, np.uint8) / 255 - expected).max() < 0.5 / 255 + 2e-5


@pytest.mark.parametrize(
    ("outscale", "asked", "expected"),
    [(None, None, (60, 80)), (1.5, None, (45, 60)), (0.01, None, (1, 1)), (None, (7, 5), (5, 7))],
)
def test_the_final_size_is_the_one_asked_for(outscale: float | None, asked: tuple | None, expected: tuple):
    assert final_size((30, 40), 2, outscale, asked) == expected
