"""Whether a picture file is stored in a lossy format."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srmd.pictures.compression import is_lossy


@pytest.mark.parametrize(
    ("name", "options", "lossy"),
    [
        ("a.jpg", {}, True),
        ("a.jpg", {"quality": 100, "subsampling": 0}, True),
        ("a.png", {}, False),
        ("a.bmp", {}, False),
        ("a.tiff", {}, False),
        ("a.tiff", {"compression": "tiff_lzw"}, False),
        ("a.tiff", {"compression": "jpeg"}, True),
        ("a.webp", {}, True),
        ("a.webp", {"lossless": True}, False),
        ("a.webp", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}, True),  # in the extended format
        ("a.webp", {"lossless": True, "icc_profile": b"123"}, False),
        ("a.webp", {"save_all": True, "append_images": [Image.new("RGB", (32, 32), "red")]}, True),
        ("a.webp", {"save_all": True, "append_images": [Image.new("RGB", (32, 32))], "lossless": True}, False),
    ],
)
def test_lossy_files_are_told_from_lossless_ones(tmp_path: Path, name: str, options: dict, lossy: bool):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, **options)
    assert is_lossy(tmp_path / name) is lossy


def test_the_format_is_read_from_the_content_and_not_from_the_name(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", format="JPEG")
    assert is_lossy(tmp_path / "a.png")
