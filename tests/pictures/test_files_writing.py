"""Written picture files have the values and the properties that they should have."""

import errno

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from example_pictures import (
    CAMERA,
    GPS,
    HEIGHT,
    MAKER,
    WIDTH,
    alpha_image,
    colour_image,
    exif,
    grey_16_bits,
    save,
    srgb_profile,
)
from picture_files import open_picture
from srmd.base.errors import InputError
from srmd.pictures.files import over_white, read_picture, write_picture
from srmd.pictures.picture import Picture


def test_written_values_are_clipped_and_rounded(tmp_path):
    write_picture(tmp_path / "a.png", np.array([[[-1.0, 0.5, 2.0], [0.4 / 255, 0.6 / 255, 1.0]]]))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, [[[0, 128, 255], [0, 1, 255]]])


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_16_bit_grey_is_written_and_read_exactly(tmp_path, suffix):
    source = read_picture(save(tmp_path, "a.png", Image.fromarray(grey_16_bits())))
    write_picture(tmp_path / f"b.{suffix}", source.as_floats(), source)
    picture = read_picture(tmp_path / f"b.{suffix}")
    np.testing.assert_array_equal(picture.pixels, source.pixels)
    assert picture.grey


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "avif"])
def test_16_bits_become_8_in_formats_without_16_bits(tmp_path, suffix):
    source = read_picture(save(tmp_path, "a.png", Image.fromarray(grey_16_bits())))
    write_picture(tmp_path / f"b.{suffix}", source.as_floats(), source)
    np.testing.assert_allclose(read_picture(tmp_path / f"b.{suffix}").as_floats(), source.as_floats(), atol=0.05)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_a_grey_picture_is_written_with_one_channel(tmp_path, suffix):
    source = Picture(np.zeros((8, 8, 3), np.uint8), grey=True)
    write_picture(tmp_path / f"a.{suffix}", np.full((8, 8, 3), (0.4, 0.5, 0.6)), source)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode == "L"
        np.testing.assert_allclose(np.asarray(image), 128, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "avif", "tga"])
@pytest.mark.parametrize("grey", [False, True])
def test_alpha_is_written(tmp_path, suffix, grey):
    expected = np.asarray(alpha_image())
    source = Picture(np.asarray(colour_image()), expected, grey)
    write_picture(tmp_path / f"a.{suffix}", np.full((HEIGHT, WIDTH, 3), 0.5), source, expected)
    alpha = read_picture(tmp_path / f"a.{suffix}").alpha
    np.testing.assert_allclose(alpha, expected.astype(float), atol=0 if suffix != "avif" else 4)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "ppm"])
def test_a_transparent_picture_is_composited_over_white_in_formats_without_alpha(tmp_path, suffix):
    alpha = np.full((8, 8), 51, np.uint8)
    source = Picture(np.zeros((8, 8, 3), np.uint8), alpha)
    write_picture(tmp_path / f"a.{suffix}", np.zeros((8, 8, 3)), source, alpha)
    np.testing.assert_allclose(read_picture(tmp_path / f"a.{suffix}").pixels, 204, atol=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_profile_and_exif_are_written(tmp_path, suffix):
    path = save(tmp_path, f"a.{suffix}", colour_image(), icc_profile=srgb_profile(), exif=exif(orientation=1))
    source = read_picture(path)
    write_picture(tmp_path / f"b.{suffix}", source.as_floats(), source)
    written = read_picture(tmp_path / f"b.{suffix}")
    assert written.metadata.icc == srgb_profile()
    tags = Image.Exif()
    tags.load(written.metadata.exif)
    assert (tags[MAKER], tags.get_ifd(CAMERA), tags.get_ifd(GPS)) == ("Maker", {33434: 0.01}, {1: "N"})


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.h5", "a.ico", "a.psd", "a.heic"])
def test_a_suffix_that_can_not_be_written_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="expected the suffix of a picture format that can be written"):
        write_picture(tmp_path / name, np.zeros((4, 4, 3)))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3)))
    before = (tmp_path / "a.png").read_bytes()

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: .*a\.png"):
        write_picture(tmp_path / "a.png", np.ones((4, 4, 3)))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_over_white_weights_the_picture_by_its_opacity():
    mixed = over_white(np.zeros((1, 3, 3)), np.array([[0, 51, 255]], np.uint8))
    np.testing.assert_allclose(mixed[0, :, 0], [1, 0.8, 0])


def test_a_picture_too_large_for_the_format_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match=r"wide\.webp: WEBP can't hold this picture"):
        write_picture(tmp_path / "wide.webp", np.zeros((1, 16384, 3)))
    assert not list(tmp_path.iterdir())


def test_jpeg_is_written_with_quality_95_and_without_chroma_subsampling(tmp_path):
    write_picture(tmp_path / "a.jpg", np.random.default_rng(0).random((40, 40, 3)))
    colour_image().save(tmp_path / "95.jpg", quality=95)
    written, expected = open_picture(tmp_path / "a.jpg"), open_picture(tmp_path / "95.jpg")
    assert written.quantization == expected.quantization
    assert JpegImagePlugin.get_sampling(written) == 0  # 4:4:4
