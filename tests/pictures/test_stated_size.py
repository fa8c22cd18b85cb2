"""A small file that states a huge size is refused before its pixels are decoded, in every format that is read."""

import os
import resource
import sys
from pathlib import Path

import pytest

from huge_pictures import PARTS, WRITERS
from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, readable_formats

HUGE, LARGE = 16_000, 4000  # sides in pixels: above and below what is checked
MAX_REFUSED_MB = 60
MAX_BYTES_PER_PIXEL = 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a child process is measured on Linux")


def read_in_child(path: Path) -> tuple[str, float]:
    """The error of reading a picture, or the empty text; and the MB of memory that this takes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text, before = "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            read_picture(path)
        except InputError as error:
            text = str(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, f"{peak} {text}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        peak, _, text = pipe.read().partition(" ")
    assert os.waitpid(child, 0)[1] == 0
    return text, int(peak) * 1024 / 1e6


@pytest.mark.parametrize("name", [*WRITERS, *PARTS])
def test_a_huge_size_is_refused_in_little_memory(tmp_path: Path, name: str):
    path = tmp_path / "a"
    path.write_bytes((WRITERS | PARTS)[name](HUGE))
    text, megabytes = read_in_child(path)
    assert text.startswith(f"{path}: ")
    assert megabytes < MAX_REFUSED_MB
    if name in WRITERS:
        assert "at most" in text or "a byte for 2048 pixels" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WRITERS, *PARTS])
def test_a_large_size_takes_memory_in_proportion(tmp_path: Path, name: str):
    path = tmp_path / "a"
    path.write_bytes((WRITERS | PARTS)[name](LARGE))
    _, megabytes = read_in_child(path)
    assert megabytes < MAX_BYTES_PER_PIXEL * LARGE**2 / 1e6


def test_every_format_is_tried():
    tried = {name.partition(",")[0] for name in WRITERS}
    not_written = {"MPO", "PCD"}  # the first picture of MPO is a JPEG; a Photo CD has one size
    assert set(readable_formats()) - not_written <= tried
