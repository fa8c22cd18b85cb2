"""The transparent colour of a PNG without an alpha channel (its chunk tRNS), at every bit depth."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from png_files import check_with_libpng, write_png
from srmd.pictures.files import read_picture, write_picture


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_value_becomes_alpha(tmp_path: Path, depth: int):
    top = 2**depth - 1
    values = np.array([[0, 1, top // 2, top], [1, 0, top, top // 2]])
    path = write_png(tmp_path / "a.png", values, 0, depth, ((b"tRNS", struct.pack(">H", 1)),))
    picture = read_picture(path)
    assert picture.grey
    np.testing.assert_array_equal(picture.alpha == 0, values == 1)
    np.testing.assert_allclose(picture.as_floats()[..., 0], values / top, atol=1e-9)
    write_picture(tmp_path / "b.png", picture.pixels[..., :1], picture, picture.alpha)
    written = imagecodecs.png_decode((tmp_path / "b.png").read_bytes())  # (H, W, grey and alpha)
    assert written.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(written[..., 0], picture.pixels[..., 0])
    np.testing.assert_array_equal(written[..., 1] == 0, values == 1)
    check_with_libpng(tmp_path / "b.png")


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, depth: int):
    values = np.array([[(1, 2, 3), (1, 2, 4), (1, 2, 3)]]) * (256 if depth == 16 else 1)
    values[0, 2, 0] += 1  # in 16 bits it differs only in the lower byte
    trns = struct.pack(">3H", *values[0, 0])
    picture = read_picture(write_png(tmp_path / "a.png", values, 2, depth, ((b"tRNS", trns),)))
    np.testing.assert_array_equal(picture.alpha == 0, [[True, False, False]])
    np.testing.assert_array_equal(picture.pixels, values)
