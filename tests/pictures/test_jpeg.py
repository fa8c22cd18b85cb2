"""`Picture.jpeg`: the tables of JPEG, MPO and JPEG in TIFF, turned upright; none for other formats."""

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from example_pictures import exif, save
from srmd.base.errors import InputError
from srmd.jpeg.tables import JpegTables
from srmd.pictures.files import read_picture

SMALL = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
RGB_JPEG = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 70}}  # options of tifffile


def saved(folder: Path, name: str, mode: str = "RGB", **options: object) -> Path:
    return save(folder, name, Image.fromarray(SMALL).convert(mode), **options)


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo"])
def test_jpeg_and_mpo(tmp_path: Path, name: str):
    path = saved(tmp_path, name, quality=60, subsampling=0)
    assert read_picture(path).jpeg == JpegTables.of_quality(60, "4:4:4")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tif", "a.gif", "a.jp2", "a.avif"])
def test_none_for_other_formats(tmp_path: Path, name: str):
    assert read_picture(saved(tmp_path, name)).jpeg is None


def test_cmyk_is_warned_of(tmp_path: Path):
    picture = read_picture(saved(tmp_path, "a.jpg", "CMYK"))
    assert picture.jpeg is None
    assert any("JPEG in CMYK" in warning for warning in picture.warnings)


@pytest.mark.parametrize("orientation", [*range(1, 10), 255])  # the last two mean nothing
def test_tables_are_turned_with_the_picture(tmp_path: Path, orientation: int):
    plain = JpegTables.of_quality(50, "4:2:2")
    path = saved(tmp_path, "a.jpg", quality=50, subsampling="4:2:2", exif=exif(orientation))
    found = read_picture(path).jpeg
    assert found.subsampling == ("4:4:0" if 5 <= orientation <= 8 else "4:2:2")
    assert found.luma[8] == plain.luma[1 if 5 <= orientation <= 8 else 8]
    assert found.condition == pytest.approx(plain.condition)


@pytest.mark.parametrize(("photometric", "subsampling"), [("YCbCr", "4:4:4"), ("RGB", "4:4:4"), ("L", "4:4:4")])
def test_jpeg_in_tiff_of_pillow(tmp_path: Path, photometric: str, subsampling: str):
    path = saved(tmp_path, "a.tif", photometric, compression="jpeg", quality=40)
    expected = JpegTables.of_quality(40, subsampling)
    if photometric != "YCbCr":  # one table for all components
        expected = replace(expected, chroma=expected.luma)
    assert read_picture(path).jpeg == expected


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_jpeg_in_tiff_with_its_own_tables_in_each_strip_or_tile(tmp_path: Path, factors, tile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SMALL, **RGB_JPEG, subsampling=factors, tile=tile)
    subsampling = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}[factors]
    assert read_picture(path).jpeg == JpegTables.of_quality(70, subsampling)


def test_the_coarsest_tables_of_a_tiff_count(tmp_path: Path):
    path = tmp_path / "a.tif"
    tiles = [imagecodecs.jpeg_encode(SMALL[:, :32], level=level, colorspace="rgb") for level in (30, 90)]
    tifffile.imwrite(
        path, iter(tiles), shape=SMALL.shape, dtype=np.uint8, photometric="rgb", compression="jpeg", tile=(48, 32)
    )
    picture = read_picture(path)
    assert picture.jpeg.luma == JpegTables.of_quality(30).luma
    assert any("different JPEG tables" in warning for warning in picture.warnings)


def test_a_turned_tiff(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, SMALL, **RGB_JPEG, subsampling=(2, 1), extratags=[(274, 3, 1, 6, True)])
    picture = read_picture(path)
    assert picture.pixels.shape == (64, 48, 3)
    assert picture.jpeg.subsampling == "4:4:0"


def with_first_table(content: bytes, table: bytes) -> bytes:
    """A JPEG with another segment in place of the first quantisation table, or without it."""
    start = content.index(b"\xff\xdb")
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4])
    segment = b"\xff\xdb" + (2 + len(table)).to_bytes(2) + table if table else b""
    return content[:start] + segment + content[end:]


QUALITY_60 = JpegTables.of_quality(60, "4:4:4")
DAMAGED_TABLES = {
    "zeros": (b"\0" + bytes(64), (0,) * 64),
    "16 bits": (b"\x10" + b"\x01\x2c" * 64, (300,) * 64),
    "16 bits, the largest": (b"\x10" + b"\xff" * 128, (65535,) * 64),
    "none": (b"", None),
    "cut off": (b"\0" + bytes(20), None),
    "another number": (b"\3" + bytes(range(64)), None),
    "32 bits": (b"\x20" + bytes(range(64)), None),
}


@pytest.mark.parametrize(("table", "luma"), DAMAGED_TABLES.values(), ids=DAMAGED_TABLES)
@pytest.mark.parametrize("name", ["a.jpg", "a.mpo"])
def test_unusual_and_damaged_tables(tmp_path: Path, name: str, table: bytes, luma: tuple[int, ...] | None):
    path = saved(tmp_path, name, quality=60, subsampling=0)
    path.write_bytes(with_first_table(path.read_bytes(), table))
    if luma is None:
        with pytest.raises(InputError, match=rf"{name}: (a broken picture|not a picture of a known format)"):
            read_picture(path)
        return
    tables = read_picture(path).jpeg
    assert tables == replace(QUALITY_60, luma=luma)
    assert all(0 <= number <= 1 for number in tables.condition)


@pytest.mark.parametrize("byte", [0x00, 0x44, 0x33, 0xFF])
def test_impossible_sampling_factors_are_refused(tmp_path: Path, byte: int):
    path = saved(tmp_path, "a.jpg")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xff\xc0") + 11] = byte
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg: "):
        read_picture(path)


@pytest.mark.parametrize("change", [b"\xff\xdb\0\x43\x09", b"\xff\xdb\0\x02\x00"], ids=["number", "length"])
def test_damaged_tables_of_a_tiff_are_refused(tmp_path: Path, change: bytes):
    path = saved(tmp_path, "a.tif", compression="jpeg", quality=60)
    content = path.read_bytes()
    start = content.index(b"\xff\xdb")
    path.write_bytes(content[:start] + change + content[start + len(change) :])
    with pytest.raises(InputError, match=r"a\.tif: "):
        read_picture(path)
