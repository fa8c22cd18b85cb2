"""Pictures compressed by Pillow with given tables: what the file says of them."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from srmd.jpeg.pillow_codec import compress_array, encode
from srmd.jpeg.tables import SUBSAMPLINGS, JpegTables

SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (2, 1), "4:4:0": (1, 2), "4:2:0": (2, 2)}  # of luma, relative to chroma
RGB = np.ascontiguousarray(astronaut()[100:193, 150:271])  # odd sides


def opened(content):
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("quality", [1, 75])  # the tables of quality 1 contain bytes like those of markers
def test_the_file_has_the_tables_and_the_subsampling(subsampling, quality):
    tables = JpegTables.of_quality(quality, subsampling)
    with opened(encode(RGB, tables)) as picture:
        assert picture.quantization == {0: list(tables.luma), 1: list(tables.chroma)}
        assert [layer[1:3] for layer in picture.layer] == [SAMPLINGS[subsampling], (1, 1), (1, 1)]
        assert picture.size == (RGB.shape[1], RGB.shape[0])


def test_tables_need_not_be_the_standards():
    luma, chroma = np.random.default_rng(0).integers(1, 256, (2, 64)).tolist()
    with opened(encode(RGB, JpegTables(tuple(luma), tuple(chroma), "4:4:4"))) as picture:
        assert picture.quantization == {0: luma, 1: chroma}


def test_a_grey_jpeg_has_one_table():
    with opened(encode(RGB, JpegTables.of_quality(50, "4:4:4"), grey=True)) as picture:
        assert (picture.mode, list(picture.quantization)) == ("L", [0])
    decoded = compress_array(RGB, JpegTables.of_quality(50, "4:4:4"), grey=True)
    assert (decoded[..., :1] == decoded).all()


@pytest.mark.parametrize("quality", [1, 75])
def test_440_is_what_libjpeg_writes(quality):
    expected = imagecodecs.jpeg8_encode(RGB, level=quality, subsampling="440")
    with opened(expected) as picture:
        decoded = compress_array(RGB, JpegTables.of_quality(quality, "4:4:0"))
        np.testing.assert_array_equal(decoded, np.asarray(picture))
