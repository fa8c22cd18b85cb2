"""Helpers of tests: small packs of random pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.packs.writer import EncodedFile, EncodedPicture, write_pack


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


def pack_of(path: Path, *files: tuple[str, bool, list[tuple[np.ndarray, float]]]) -> PackedPictures:
    """A pack of files: the name of each, whether it is lossy, and its pictures with their relative sizes."""
    encoded = [
        EncodedFile(name, lossy, [EncodedPicture.from_pixels(*each) for each in pictures])
        for name, lossy, pictures in files
    ]
    write_pack(path, encoded)
    return PackedPictures(path)


def damage(path: Path, pixels: np.ndarray) -> None:
    """Change one byte of a file, in the first row of the picture `pixels`, or of the tile."""
    content = path.read_bytes()
    position = content.index(pixels[:64, 0].tobytes())  # a pack stores the columns of a tile one after another
    with path.open("r+b") as file:
        file.seek(position)
        file.write(bytes([content[position] ^ 1]))
