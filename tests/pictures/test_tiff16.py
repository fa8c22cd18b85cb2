"""TIFF files with 16 bits per channel in RGB, as tifffile writes them, are read exactly."""

from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.picture import upright

HEIGHT, WIDTH = 21, 35
ORIENTATION_TAG = 274


def random_values(channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, channels), np.uint16)


def write(path: Path, values: np.ndarray, planes: str = "contig", **options: object) -> Path:
    if values.shape[2] == 4:
        options.setdefault("extrasamples", ["unassalpha"])
    planar = np.moveaxis(values, -1, 0) if planes == "separate" else values
    tifffile.imwrite(path, planar, photometric="rgb", planarconfig=planes, **options)
    np.testing.assert_array_equal(tifffile.imread(path), planar)
    return path


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 32)}, {"bigtiff": True}])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_all_16_bits_are_read(tmp_path: Path, channels: int, planes: str, layout: dict):
    values = random_values(channels)
    compressions = [(None, False), ("packbits", False), *product(("zlib", "lzw", "zstd", "lzma"), (False, True))]
    for byteorder, (compression, predictor) in product("<>", compressions):
        if layout.get("bigtiff") and byteorder == ">":
            continue
        options = {"byteorder": byteorder, "compression": compression, "predictor": predictor}
        picture = read_picture(write(tmp_path / "a.tif", values, planes, **options, **layout))
        assert (picture.pixels.dtype, picture.grey) == (np.uint16, False)
        np.testing.assert_array_equal(picture.pixels, values[..., :3], str(options))
        if channels == 4:
            np.testing.assert_array_equal(picture.alpha, values[..., 3], str(options))


def test_alpha_in_the_colours_is_divided_out(tmp_path: Path):
    alpha = np.rint(np.linspace(0, 65535, HEIGHT * WIDTH)).reshape(HEIGHT, WIDTH, 1)
    colours = random_values(3)
    values = np.dstack([np.rint(colours * (alpha / 65535)), alpha]).astype(np.uint16)
    picture = read_picture(write(tmp_path / "a.tif", values, extrasamples=["assocalpha"]))
    is_visible = alpha[..., 0] > 6553
    np.testing.assert_allclose(picture.pixels[is_visible], colours[is_visible], atol=6)  # rounded at a tenth of alpha
    np.testing.assert_array_equal(picture.alpha, values[..., 3])


def test_a_fourth_channel_that_is_no_alpha_is_left_out(tmp_path: Path):
    values = random_values(4)
    picture = read_picture(write(tmp_path / "a.tif", values, extrasamples=["unspecified"]))
    assert picture.alpha is None
    np.testing.assert_array_equal(picture.pixels, values[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_picture_is_turned_upright(tmp_path: Path, orientation: int):
    values = random_values(4)
    tags = [(ORIENTATION_TAG, 3, 1, orientation, True)]
    picture = read_picture(write(tmp_path / "a.tif", values, extratags=tags))
    np.testing.assert_array_equal(picture.pixels, upright(values[..., :3], orientation))
    np.testing.assert_array_equal(picture.alpha, upright(values, orientation)[..., 3])
    eight_bits = write_8_bits(tmp_path / "b.tif", values, tags)
    np.testing.assert_array_equal(picture.pixels >> 8, read_picture(eight_bits).pixels)  # Pillow turns it


def write_8_bits(path: Path, values: np.ndarray, tags: list) -> Path:
    eight_bits = (values >> 8).astype(np.uint8)
    tifffile.imwrite(path, eight_bits, photometric="rgb", extrasamples=["unassalpha"], extratags=tags)
    return path


def test_a_png_result_has_16_bits(tmp_path: Path):
    values = random_values(3)
    picture = read_picture(write(tmp_path / "a.tif", values, compression="lzw"))
    write_picture(tmp_path / "b.png", picture.pixels, picture)
    np.testing.assert_array_equal(imagecodecs.png_decode((tmp_path / "b.png").read_bytes()), values)


def test_a_big_endian_bigtiff_is_refused(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    path = write(tmp_path / "a.tif", random_values(3), byteorder=">", bigtiff=True)
    with pytest.raises(InputError, match=r"a\.tif: this kind of TIFF can't be read: BigTIFF in big-endian order"):
        read_picture(path)
    assert not recwarn.list


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_a_truncated_file_is_refused(tmp_path: Path, compression: str | None):
    path = write(tmp_path / "a.tif", random_values(3), rowsperstrip=5, compression=compression, predictor=False)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(InputError, match=r"a\.tif: a broken picture"):
        read_picture(path)
