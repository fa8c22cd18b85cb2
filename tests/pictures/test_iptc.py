"""IPTC data and comments of files are kept where the format of the result can hold them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, IptcImagePlugin

from example_pictures import colour_image, exif, save
from picture_files import open_picture
from png_files import check_with_libpng, read_chunks, write_png
from srmd.pictures.files import read_picture, write_picture

IPTC = b"\x1c\x02\x78\x00\x07A title\x1c\x02\x50\x00\x08somebody!"[:-1]  # a caption and its author
RESOURCES = b"8BIM\x04\x0c\x05thumb\0\0\0\x03abc\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
SEGMENT = b"Photoshop 3.0\0" + RESOURCES + b"\0" * (len(IPTC) % 2)


def restore(path: Path, name: str) -> Path:
    """Writes a picture as the restoring modes do; returns the path."""
    picture = read_picture(path)
    write_picture(path.with_name(name), picture.as_floats(), picture)
    return path.with_name(name)


def file_with_iptc(folder: Path, kind: str) -> Path:
    if kind == "jpg":
        segment = b"\xff\xed" + struct.pack(">H", len(SEGMENT) + 2) + SEGMENT
        return save(folder, "a.jpg", colour_image(), extra=segment, exif=exif(1))
    if kind == "tif":
        return save(folder, "a.tif", colour_image(), tiffinfo={33723: IPTC})
    if kind == "numbers.tif":  # as Photoshop writes it
        padded = IPTC + bytes(-len(IPTC) % 4)
        numbers = struct.unpack(f">{len(padded) // 4}I", padded)
        path = folder / "a.tif"
        tags = [(33723, 4, len(numbers), numbers, True)]
        tifffile.imwrite(path, np.asarray(colour_image()), photometric="rgb", byteorder=">", extratags=tags)
        return path
    data = SEGMENT.removeprefix(b"Photoshop 3.0\0") if kind == "8bim.png" else IPTC
    text = f"\niptc\n{len(data):8}\n{data[:36].hex()}\n{data[36:].hex()}\n".encode()
    chunk = (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text))
    return write_png(folder / "a.png", np.asarray(colour_image()), 2, 8, (chunk,))


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
@pytest.mark.parametrize("kind", ["jpg", "tif", "numbers.tif", "png", "8bim.png"])
def test_iptc_is_kept(tmp_path: Path, kind: str, suffix: str):
    result = restore(file_with_iptc(tmp_path, kind), f"b.{suffix}")
    if suffix == "png":
        texts = [data for name, data in read_chunks(result) if name == b"zTXt"]
        keyword, _, compressed = texts[0].partition(b"\0")
        assert (len(texts), keyword) == (1, b"Raw profile type iptc")
        name, length, *digits = zlib.decompress(compressed[1:]).split()
        data = bytes.fromhex(b"".join(digits).decode())
        assert (name, int(length), data[:8]) == (b"iptc", len(data), b"8BIM\x04\x04\0\0")
        assert data[12 : 12 + len(IPTC)] == IPTC
        check_with_libpng(result)
        return
    if suffix == "tif":
        with tifffile.TiffFile(result) as file:
            assert bytes(file.pages[0].tags[33723].value).startswith(IPTC)
    with Image.open(result) as image:
        fields = IptcImagePlugin.getiptcinfo(image)
    assert fields == {(2, 120): b"A title", (2, 80): b"somebody"}


def test_iptc_that_is_damaged_does_no_harm(tmp_path: Path):
    for number, text in enumerate((b"\niptc\n 3\nxyz", b"", b"\niptc\n 8\n" + b"8BIM\x04\x04".hex().encode())):
        chunk = (b"tEXt", b"Raw profile type iptc\0" + text)
        path = write_png(tmp_path / f"{number}.png", np.asarray(colour_image()), 2, 8, (chunk,))
        assert not read_picture(path).metadata.iptc


def test_iptc_too_long_for_jpeg_is_left_out_with_a_warning(tmp_path: Path, caplog):
    path = save(tmp_path, "a.tif", colour_image(), tiffinfo={33723: IPTC + bytes(70_000)})
    result = restore(path, "b.jpg")
    assert "b.jpg: its IPTC data of 70" in caplog.text
    assert "photoshop" not in open_picture(result).info


@pytest.mark.parametrize("comment", [b"plain", "grün ß".encode(), "grün ß".encode("latin-1")])
@pytest.mark.parametrize("source", ["jpg", "gif", "jp2"])
def test_a_comment_is_kept(tmp_path: Path, source: str, comment: bytes):
    path = save(tmp_path, f"a.{source}", colour_image(), comment=comment)
    for suffix in ("jpg", "gif", "jp2"):
        assert open_picture(restore(path, f"b.{suffix}")).info["comment"] == comment
    result = restore(path, "b.png")
    text = "plain" if comment == b"plain" else "grün ß"
    assert (b"iTXt", b"Comment\0\0\0\0\0" + text.encode()) in read_chunks(result)
    assert open_picture(result).text["Comment"] == text
    check_with_libpng(result)
