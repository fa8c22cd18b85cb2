"""Pictures of many scans, pages or frames take no longer than others, or are refused."""

import time
from pathlib import Path

import pytest

from many_parts import SCAN, many_frames, many_pages, progressive, with_scans
from srmd.base.errors import InputError
from srmd.jpeg.header import count_scans
from srmd.pictures.files import read_picture
from srmd.pictures.stated_size import MAX_SCANS


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


@pytest.mark.parametrize(("name", "content"), [("a.tif", many_pages(20_000)), ("a.gif", many_frames(200_000))])
def test_many_pages_and_frames_are_not_counted(name: str, content: bytes, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    read_picture(tmp_path / name)  # loads Pillow's modules
    start = time.process_time()
    picture = read_picture(tmp_path / name)
    assert time.process_time() - start < 0.5
    assert picture.warnings == ("it holds several pictures (frames or pages), of which the first is used",)
