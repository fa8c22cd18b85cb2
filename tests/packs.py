"""Small packs of random pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from srmd.data_loader import PackedPictures, pack


def random_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of(folder: Path, *sizes: tuple[int, int]) -> Path:
    """A folder with a random picture of each (height, width), named 1.png, 2.png, …"""
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes, start=1):
        Image.fromarray(random_picture(*size, seed=number)).save(folder / f"{number}.png")
    return folder


def packed(tmp_path: Path, *sizes: tuple[int, int]) -> PackedPictures:
    """A pack of random pictures of each (height, width)."""
    pack(folder_of(tmp_path / "pictures", *sizes), tmp_path / "pack.h5")
    return PackedPictures(tmp_path / "pack.h5")
