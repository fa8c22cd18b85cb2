"""Damaged PNG files of 16 bits, on which torchvision's libpng would end the process, are broken pictures."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srmd.base.errors import InputError
from srmd.pictures.files import read_picture
from srmd.pictures.png_chunks import PNG_SIGNATURE, png_chunk

HEIGHT, WIDTH = 9, 12
PIXELS = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3), np.uint16)


def png(rows: bytes, interlaced: int = 0, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, interlaced)
    parts = png_chunk(b"IHDR", header), before, png_chunk(b"IDAT", rows), png_chunk(b"IEND", b"")
    return b"".join([PNG_SIGNATURE, *parts])


def rows(pixels: np.ndarray = PIXELS, filter_type: int = 0) -> bytes:
    return b"".join(bytes([filter_type]) + row.astype(">u2").tobytes() for row in pixels)


def wrong_check_sum() -> bytes:
    content = bytearray(png(zlib.compress(rows())))
    content[-13] ^= 1
    return bytes(content)


DAMAGED = {
    "check sum": wrong_check_sum(),
    "too few rows": png(zlib.compress(rows()[:300])),
    "unknown filter": png(zlib.compress(rows(filter_type=9))),
    "check sum of zlib": png(zlib.compress(rows())[:-4] + b"abcd"),
    "not zlib": png(b"\xff" * 100),
    "no end": png(zlib.compress(rows())[:-6]),
    "too few rows of an interlaced PNG": png(zlib.compress(rows()[:300]), interlaced=1),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_picture_is_broken(content: bytes, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: a broken picture"):
        read_picture(tmp_path / "a.png")


def interlaced_rows() -> bytes:
    passes = (np.s_[0::8, 0::8], np.s_[0::8, 4::8], np.s_[4::8, 0::4], np.s_[0::4, 2::4], np.s_[2::4, 0::2])
    passes += np.s_[0::2, 1::2], np.s_[1::2, 0::1]
    return b"".join(rows(PIXELS[each]) for each in passes)


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize("behind", [b"", b"bytes behind the pixels"])
def test_a_whole_picture_is_read_even_if_other_chunks_are_damaged(
    interlaced: int, behind: bytes, tmp_path: Path, capfd
):
    data = zlib.compress(interlaced_rows() if interlaced else rows()) + behind
    (tmp_path / "a.png").write_bytes(png(data, interlaced, png_chunk(b"gAMA", b"\0\0\0\0")))
    assert (read_picture(tmp_path / "a.png").pixels == PIXELS).all()
    assert capfd.readouterr() == ("", "")


def test_the_picture_is_one_that_pillow_also_reads(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png(zlib.compress(rows())))
    with Image.open(tmp_path / "a.png") as image:
        assert np.abs(np.asarray(image) - PIXELS / 257).max() <= 1
