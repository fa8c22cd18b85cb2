"""What written picture files hold, read by Pillow and torchvision."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.picture import Picture


@pytest.mark.parametrize("alpha", [False, True])
def test_a_high_png_of_16_bits_a_colour_keeps_every_level(tmp_path: Path, alpha: bool):
    """Its rows are compressed in strips of a few hundred."""
    levels = np.random.default_rng(0).integers(0, 65536, (600, 7, 3)).astype(np.uint16)
    like = Picture(levels, np.full((600, 7), 200, np.uint8) if alpha else None)
    write_picture(tmp_path / "a.png", levels, like)
    found = read_picture(tmp_path / "a.png")
    assert found.pixels.dtype == np.uint16
    assert np.array_equal(found.pixels, levels)
    assert (found.alpha is not None) == alpha


def test_jpeg_is_written_in_quality_95_without_chroma_subsampling(tmp_path: Path):
    pixels = np.random.default_rng(0).random((40, 40, 3))
    write_picture(tmp_path / "a.jpg", pixels)
    Image.new("RGB", (8, 8)).save(tmp_path / "95.jpg", quality=95)
    written, expected = Image.open(tmp_path / "a.jpg"), Image.open(tmp_path / "95.jpg")
    assert written.quantization == expected.quantization
    assert JpegImagePlugin.get_sampling(written) == 0
