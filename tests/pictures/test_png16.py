"""PNG files with 16 bits per channel are read and written with all 16 bits."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from example_pictures import MAKER, ORIENTATION, exif, random_16_bits, save_16_bit_png, srgb_profile
from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.picture import ROWS_PER_STRIP, Picture


@pytest.mark.parametrize("channels", [3, 4])
def test_rgb_and_rgba_of_16_bits_are_written_and_read_exactly(tmp_path, channels):
    values = random_16_bits(channels)
    picture = read_picture(save_16_bit_png(tmp_path / "a.png", values))
    np.testing.assert_array_equal(picture.pixels, values[..., :3])
    assert not picture.grey
    assert (picture.alpha is None) == (channels == 3)
    write_picture(tmp_path / "b.png", picture.as_floats(), picture, picture.alpha)
    again = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    np.testing.assert_array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("exif_behind_pixels", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_16_bits_are_turned_upright_as_those_of_8_bits_are(tmp_path, orientation, exif_behind_pixels):
    values = random_16_bits(4)
    deep = read_picture(save_16_bit_png(tmp_path / "a.png", values, exif(orientation), exif_behind_pixels))
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "b.png", exif=exif(orientation))
    shallow = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(deep.pixels >> 8, shallow.pixels)
    np.testing.assert_array_equal(deep.alpha >> 8, shallow.alpha)


def test_16_bit_grey_with_alpha_is_written_and_read_exactly(tmp_path):
    values = random_16_bits(4)[..., 2:]
    picture = read_picture(save_16_bit_png(tmp_path / "a.png", values))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels, np.repeat(values[..., :1], 3, 2))
    np.testing.assert_array_equal(picture.alpha, values[..., 1])
    write_picture(tmp_path / "b.png", picture.as_floats(), picture, picture.alpha)
    assert (tmp_path / "b.png").read_bytes()[24:26] == b"\x10\x04"  # 16 bits, grey with alpha
    again = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    np.testing.assert_array_equal(again.alpha, picture.alpha)


def test_rgb_of_16_bits_is_turned_upright_and_keeps_profile_and_exif(tmp_path):
    values = random_16_bits()
    picture = read_picture(save_16_bit_png(tmp_path / "a.png", values, exif(orientation=6)))
    np.testing.assert_array_equal(picture.pixels, np.rot90(values, -1))
    write_picture(
        tmp_path / "b.png",
        picture.as_floats(),
        replace(picture, metadata=replace(picture.metadata, icc=srgb_profile())),
    )
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.info["icc_profile"] == srgb_profile()
        assert image.getexif()[MAKER] == "Maker"
        assert ORIENTATION not in image.getexif()
        np.testing.assert_array_equal(np.asarray(image), picture.pixels >> 8)


def test_a_truncated_16_bit_png_is_refused(tmp_path):
    path = save_16_bit_png(tmp_path / "a.png", random_16_bits())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.png: a broken picture"):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp"])
def test_rgb_of_16_bits_becomes_8_in_other_formats_than_png(tmp_path, suffix):
    source = read_picture(save_16_bit_png(tmp_path / "a.png", np.full((8, 8, 3), 30000, np.uint16)))
    write_picture(tmp_path / f"b.{suffix}", source.as_floats(), source)
    np.testing.assert_allclose(read_picture(tmp_path / f"b.{suffix}").pixels, 117, atol=1)


def test_a_picture_of_several_strips_is_written_and_read_exactly(tmp_path):
    """Rows are compressed in strips of ROWS_PER_STRIP."""
    pixels = np.random.default_rng(0).integers(0, 65536, (2 * ROWS_PER_STRIP + 1, 7, 3), np.uint16)
    alpha = np.full(pixels.shape[:2], 200, np.uint8)
    write_picture(tmp_path / "a.png", pixels, Picture(pixels, alpha), alpha)
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, pixels)
    np.testing.assert_array_equal(picture.alpha, alpha.astype(np.uint16) * 257)
