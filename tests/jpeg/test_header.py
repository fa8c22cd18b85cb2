"""Tables and subsampling of JPEG headers: every kind of component, table and marker."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from srmd.jpeg.header import header_of_image, header_of_stream, tables_of_header, transposed
from srmd.jpeg.tables import JpegTables

ODD_TABLES = [list(range(2, 66)), list(range(3, 67))]  # of no quality


def noise(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)).convert(mode)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    noise(mode).save(file, "JPEG", **options)
    return file.getvalue()


def with_factors(data: bytes, *factors: int) -> bytes:
    """The JPEG with other sampling factors, which no decoder need accept."""
    position = data.index(b"\xff\xc0") + 10
    changed = bytearray(data)
    for number, factor in enumerate(factors):
        changed[position + 1 + 3 * number] = factor
    return bytes(changed)


def read(data: bytes) -> tuple[JpegTables | None, list[str]]:
    """What the header says, which must be equal by Pillow's reading and by this package's."""
    found = tables_of_header(header_of_stream(data))
    with Image.open(BytesIO(data)) as image:
        assert tables_of_header(header_of_image(image)) == found
    return found


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [1, 40, 75, 100])
def test_tables_of_a_quality_and_subsampling(quality, subsampling):
    data = jpeg(quality=quality, subsampling=subsampling)
    assert read(data) == (JpegTables.of_quality(quality, subsampling), [])


def test_tables_of_no_quality_are_read_row_by_row():
    tables, warnings = read(jpeg(qtables=ODD_TABLES, subsampling="4:4:4"))
    assert [list(tables.luma), list(tables.chroma)] == ODD_TABLES
    assert not warnings


def test_progressive_files_are_read_too():
    assert read(jpeg(quality=30, progressive=True))[0] == JpegTables.of_quality(30)


def test_one_table_serves_chroma_too():
    tables, _ = read(jpeg(qtables=[ODD_TABLES[0]]))
    assert tables.luma == tables.chroma == tuple(ODD_TABLES[0])


def test_a_grey_jpeg_has_one_table_and_no_subsampling():
    tables, _ = read(jpeg("L", quality=30))
    luma = JpegTables.of_quality(30).luma
    assert tables == JpegTables(luma, luma, "4:4:4")


def test_entries_of_16_bits_and_0_are_clamped_in_the_condition():
    data = jpeg(qtables=[[1] * 64, [1] * 64])
    start = data.index(b"\xff\xdb")
    segments = b"\xff\xdb\0\x83\x10" + struct.pack(">64H", *[1, 65535] * 32) + b"\xff\xdb\0\x43\1" + bytes(64)
    tables, _ = read(data[:start] + segments + data[start + 2 * 69 :])
    assert tables.luma[1] == 65535
    assert tables.chroma[0] == 0
    assert tables.condition.luma == pytest.approx(np.log2(255) / 16)
    assert tables.condition.chroma == 0


def test_cmyk_is_not_told_but_warned_of():
    tables, warnings = read(jpeg("CMYK", quality=30))
    assert tables is None
    assert "CMYK" in warnings[0]


def test_rgb_components_are_told_the_table_of_green_without_subsampling():
    tables, warnings = read(jpeg(qtables=ODD_TABLES, keep_rgb=True))
    assert tables.subsampling == "4:4:4"
    assert not warnings
    assert tables.luma == tuple(ODD_TABLES[1])  # Pillow gives green and blue the second table


@pytest.mark.parametrize(
    ("factors", "nearest", "is_exact"),
    [
        ((0x12, 0x11, 0x11), "4:4:0", True),
        ((0x41, 0x11, 0x11), "4:2:0", False),  # 4:1:1
        ((0x42, 0x11, 0x11), "4:2:0", False),  # 4:1:0
        ((0x22, 0x21, 0x21), "4:4:0", True),  # a way to write 4:4:0
        ((0x22, 0x11, 0x21), "4:2:0", False),
        ((0x11, 0x22, 0x22), "4:4:4", False),
    ],
)
def test_unusual_sampling_is_the_nearest_with_a_warning(factors, nearest, is_exact):
    tables, warnings = read(with_factors(jpeg(quality=50), *factors))
    assert (tables.subsampling, not warnings) == (nearest, is_exact)


def test_a_header_that_is_cut_off_anywhere_is_read_as_far_as_it_goes():
    data = jpeg(quality=50, exif=b"Exif\0\0" + bytes(40))
    lengths = [tables_of_header(header_of_stream(data[:end]))[0] is not None for end in range(len(data))]
    assert lengths == sorted(lengths)
    assert lengths[-1]


def test_turned_tables_are_transposed_and_tell_the_network_the_same():
    tables = JpegTables(tuple(ODD_TABLES[0]), tuple(ODD_TABLES[1]), "4:2:2")
    turned = transposed(tables)
    assert turned.luma[1] == tables.luma[8]
    assert turned.subsampling == "4:4:0"
    assert turned.condition == pytest.approx(tables.condition)
    assert transposed(turned) == tables
