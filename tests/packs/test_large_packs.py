"""Packs of many pictures open in little time and memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from small_packs import random_picture
from srmd.packs.layout import PICTURE_FIELDS, PackIndex
from srmd.packs.writer import EncodedFile, EncodedPicture, _write_metadata, write_pack

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 10  # half a second on an idle machine
MEASURE = """
import os, resource, sys
from srmd.packs.reader import PackedPictures
def memory(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1024
import h5py, numpy
start = sum(os.times()[:4])  # processor time, also of child processes
training, validation = PackedPictures(sys.argv[1]).split()
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # which reads the index
print(sum(os.times()[:4]) - start, max(memory("VmHWM"), child), len(training) + len(validation))
"""


def assert_opens_quickly(path: Path, count: int) -> None:
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, mebibytes, opened = map(float, done.stdout.split())
    assert opened == count
    assert mebibytes < 300
    assert seconds < MAX_SECONDS


def test_20_000_small_pictures_open_in_little_time_and_memory(tmp_path: Path):
    picture = EncodedPicture.from_pixels(random_picture(4, 4))
    write_pack(tmp_path / "pack.h5", (EncodedFile(f"picture-{n}.png", False, [picture]) for n in range(20_000)))
    assert_opens_quickly(tmp_path / "pack.h5", 20_000)


def test_100_000_sub_images_of_480_pixels_open_in_little_time_and_memory(tmp_path: Path):
    """The pixels, 69 GB, are a hole in the file."""
    count = 100_000
    pictures = np.zeros(count, PICTURE_FIELDS)
    pictures["height"] = pictures["width"] = 480
    pictures["file"], pictures["relative_size"] = np.arange(count), 1
    names = np.char.add("DIV2K_train_HR_sub/0001_s", np.arange(count).astype(str)).astype(np.bytes_)
    checksums = np.arange(count * 8 * 8, dtype="<u4")
    with (tmp_path / "pack.h5").open("wb") as file:
        _write_metadata(file, PackIndex(pictures, names, np.zeros(count, bool), checksums))
    assert_opens_quickly(tmp_path / "pack.h5", count)
