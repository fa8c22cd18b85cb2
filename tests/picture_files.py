"""Reading and writing picture files in tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def open_picture(path: str | Path) -> Image.Image:
    """A picture, read completely; its file is closed."""
    with Image.open(path) as picture:
        picture.load()
    return picture


def save_smooth_picture(path: str | Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Writes a random RGB picture of `size` (width, height), which is enlarged from 14×12 pixels by bicubic."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 14, 3), np.uint8))
    coarse.resize(size, Image.Resampling.BICUBIC).save(path)
