"""Pictures that once were JPEGs: found at any grid position with their tables; other pictures are not."""

import os
import subprocess
import sys

import numpy as np
import pytest
from skimage.data import astronaut

from srmd.jpeg.detect import find_earlier_jpeg, find_jpeg
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables

PHOTO = astronaut()[100:292, 150:374]  # itself of a photo that was made smaller
SEARCH_ON_ONE_THREAD = """
from time import process_time, thread_time
import torch
from tests.jpeg.test_detect import PHOTO, JpegTables, compress_array, find_jpeg

torch.set_num_threads(1)
jpeg = compress_array(PHOTO, JpegTables.of_quality(75))
before = process_time(), thread_time()
find_jpeg(jpeg)
print(process_time() - before[0], thread_time() - before[1])
"""


@pytest.mark.parametrize(("quality", "subsampling"), [(10, "4:2:0"), (50, "4:2:2"), (75, "4:4:4"), (95, "4:2:0")])
def test_a_cropped_jpeg_is_told_its_tables(quality: int, subsampling: str):
    tables = JpegTables.of_quality(quality, subsampling)
    found = find_jpeg(compress_array(PHOTO, tables)[3:, 6:])
    assert found.condition.luma == pytest.approx(tables.condition.luma, abs=0.03)
    assert found.condition.chroma == pytest.approx(tables.condition.chroma, abs=0.06)
    assert found.subsampling == subsampling


def test_tables_of_no_quality_are_estimated():
    flat = JpegTables((12,) * 64, (20,) * 64, "4:4:4")
    found = find_jpeg(compress_array(PHOTO, flat))
    low = [0, 1, 2, 8, 9, 10, 16, 17]
    assert [found.luma[number] for number in low] == [12] * len(low)


def test_a_grey_jpeg_has_one_table():
    found = find_jpeg(compress_array(PHOTO, JpegTables.of_quality(40), grey=True))
    assert found.luma == found.chroma
    assert found.subsampling == "4:4:4"


@pytest.mark.parametrize("noise", [0, 3])
def test_other_pictures_are_no_jpegs(noise: int):
    noisy = PHOTO + noise * np.random.default_rng(0).standard_normal(PHOTO.shape)
    assert find_jpeg(np.rint(noisy.clip(0, 255)).astype(np.uint8)) is None
    assert find_jpeg(PHOTO // 32 * 32) is None  # its few greys are steps too, but on every grid
    assert find_jpeg(PHOTO[:24, :24].repeat(8, 0).repeat(8, 1)) is None  # its blocks start every 8 pixels
    assert find_jpeg(PHOTO[:5, :9]) is None


@pytest.mark.parametrize("shift", [(0, 0), (3, 5)])
def test_an_earlier_coarse_compression_is_found(shift: tuple[int, int]):
    once = compress_array(PHOTO, JpegTables.of_quality(40))[shift[0] :, shift[1] :]
    later = JpegTables.of_quality(95)
    found = find_earlier_jpeg(compress_array(once, later), later)
    assert found.quality == pytest.approx(40, abs=3)


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_a_picture_compressed_once_has_no_earlier_tables(quality: int):
    tables = JpegTables.of_quality(quality)
    assert find_earlier_jpeg(compress_array(PHOTO, tables), tables) is None


def test_the_search_uses_no_more_threads_than_pytorch_may_use():
    command = [sys.executable, "-c", SEARCH_ON_ONE_THREAD]
    output = subprocess.check_output(command, env=os.environ | {"OPENBLAS_NUM_THREADS": "2"}, text=True)
    of_process, of_thread = map(float, output.split())
    assert of_process < 1.1 * of_thread + 0.02, "seconds of all threads, and of the first one"
