"""Pictures of many scans, pages or frames take no longer than others, or are refused."""

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srmd.base.errors import InputError
from srmd.jpeg.header import count_scans
from srmd.pictures.files import read_picture
from srmd.pictures.stated_size import MAX_SCANS

SCAN = b"\xff\xda"


def progressive(**options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True, **options)
    return buffer.getvalue()


def with_scans(count: int) -> bytes:
    """A JPEG whose last scan is repeated until it has `count` scans."""
    content = progressive()
    last = content[content.rindex(SCAN) : -2]
    return content[:-2] + last * (count - count_scans(content, 1000)) + content[-2:]


def test_a_jpeg_of_many_scans_is_refused(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(with_scans(MAX_SCANS))
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (40, 40, 3)
    (tmp_path / "a.jpg").write_bytes(with_scans(MAX_SCANS + 1))
    with pytest.raises(InputError, match=rf"a\.jpg: expected a JPEG of at most {MAX_SCANS} scans, found more"):
        read_picture(tmp_path / "a.jpg")


def test_scans_are_counted_between_the_segments_of_the_picture_only(tmp_path: Path):
    content = progressive(exif=b"Exif\0\0" + SCAN * 200, comment=SCAN * 200) + SCAN * 200
    assert content.count(SCAN) > 600
    assert 5 < count_scans(content, 1000) < 20
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (40, 40, 3)


def many_pages(count: int) -> bytes:
    """A TIFF of pages that all have the same pixel."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in tags)
    size = len(page) + 4
    positions = [16 + size * number for number in range(1, count)] + [0]
    pages = b"".join(page + struct.pack("<I", position) for position in positions)
    return struct.pack("<2sHI8s", b"II", 42, 16, b"\x80") + pages


def many_frames(count: int) -> bytes:
    header = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    return header + (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0") * count + b";"


@pytest.mark.parametrize(("name", "content"), [("a.tif", many_pages(20_000)), ("a.gif", many_frames(200_000))])
def test_many_pages_and_frames_are_not_counted(name: str, content: bytes, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    read_picture(tmp_path / name)  # loads Pillow's modules
    start = time.process_time()
    picture = read_picture(tmp_path / name)
    assert time.process_time() - start < 0.5
    assert picture.warnings == ("it holds several pictures (frames or pages), of which the first is used",)
