"""What the header of a JPEG says of its compression: quantisation tables, subsampling, and how colours are stored."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from mmap import mmap

import numpy as np
from PIL import Image

from srmd.jpeg.tables import CHROMA_FACTORS, SUBSAMPLINGS, JpegTables

# Position in a table, row by row, of the entries in the order in which a file stores them (ITU-T T.81, figure A.6).
ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # without those that lie inside of a scan, and fill bytes
END_OF_IMAGE = 0xD9
DEFINE_TABLES, START_OF_SCAN, JFIF_SEGMENT, ADOBE_SEGMENT = 0xDB, 0xDA, 0xE0, 0xEE
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of frames; the others are Huffman tables and the like
MARKERS_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
# How often luma has more samples than chroma along columns and rows → the subsampling
NAMED_SUBSAMPLINGS = {(columns, rows): name for name, (rows, columns) in CHROMA_FACTORS.items()}


@dataclass(frozen=True)
class Component:
    """A colour component of a JPEG."""

    number: int
    columns: int  # samples along columns, relative to the other components; 1 to 4
    rows: int
    table: int  # number of its quantisation table


@dataclass
class JpegHeader:
    """The parts of a header that say how colours were lost."""

    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)  # 64 entries each, row by row
    components: tuple[Component, ...] = ()
    has_jfif: bool = False
    adobe_transform: int | None = None  # 0: RGB or CMYK, 1: YCbCr, 2: YCCK; None: not stated

    @property
    def is_rgb(self) -> bool:
        """Whether three components are red, green and blue, by the rules of libjpeg."""
        if len(self.components) != 3 or self.has_jfif:
            return False
        if self.adobe_transform is not None:
            return self.adobe_transform == 0
        return bytes(component.number for component in self.components) == b"RGB"


def header_of_image(image: Image.Image) -> JpegHeader:
    """The header of an opened JPEG or MPO."""
    tables = {number: tuple(table) for number, table in image.quantization.items()}
    components = tuple(Component(*layer) for layer in image.layer)
    return JpegHeader(tables, components, "jfif" in image.info, image.info.get("adobe_transform"))


def header_of_stream(data: bytes) -> JpegHeader:
    """The header of the JPEG that begins with some bytes; of a header that is cut off what is complete."""
    header = JpegHeader()
    for marker, segment in _segments(data):
        if marker == DEFINE_TABLES:
            header.tables |= dict(_tables_of(segment))
        elif marker == JFIF_SEGMENT and segment.startswith(b"JFIF"):
            header.has_jfif = True
        elif marker == ADOBE_SEGMENT and segment.startswith(b"Adobe") and len(segment) >= 12:
            header.adobe_transform = segment[11]
        elif marker in FRAMES:
            header.components = tuple(_components_of(segment))
    return header


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers before the first scan, with their content; without one that is cut off."""
    position = 0
    while (position := data.find(b"\xff", position)) >= 0 and position + 2 <= len(data):
        marker = data[position + 1]
        if marker == START_OF_SCAN:
            return
        if marker in MARKERS_WITHOUT_LENGTH:
            position += 2
        elif marker in (0x00, 0xFF):  # fill bytes
            position += 1
        else:
            end = position + 2 + max(int.from_bytes(data[position + 2 : position + 4]), 2)
            if end > len(data):
                return
            yield marker, data[position + 4 : end]
            position = end


def count_scans(data: bytes | mmap, limit: int) -> int:
    """The number of scans of the JPEG that begins with some bytes; counting ends above `limit`."""
    position = scans = 0
    while scans <= limit and (match := MARKER.search(data, position)):
        position, marker = match.end(), data[match.end() - 1]
        if marker == END_OF_IMAGE:
            break
        scans += marker == START_OF_SCAN
        if marker not in MARKERS_WITHOUT_LENGTH:
            position += max(int.from_bytes(data[position : position + 2]), 2)
    return scans


def _tables_of(segment: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    while segment:
        is_16_bit, number = segment[0] >> 4, segment[0] & 15
        size = 128 if is_16_bit else 64
        if len(segment) <= size:
            return
        yield number, row_by_row(struct.unpack(">64H" if is_16_bit else "64B", segment[1 : 1 + size]))
        segment = segment[1 + size :]


def row_by_row(entries: tuple[int, ...] | bytes) -> tuple[int, ...]:
    """The 64 entries of a table in zigzag order, as a file stores them, row by row."""
    table = np.zeros(64, int)
    table[ZIGZAG] = list(entries)
    return tuple(table.tolist())


def _components_of(segment: bytes) -> Iterator[Component]:
    for start in range(6, len(segment) - 2, 3):
        number, sampling, table = segment[start : start + 3]
        yield Component(number, sampling >> 4, sampling & 15, table)


def tables_of_header(header: JpegHeader) -> tuple[JpegTables | None, list[str]]:
    """What a network can be told of a JPEG, and warnings of what it can't; None for CMYK.

    A grey JPEG has one table, which serves for chroma too. Of RGB components, which were not converted to YCbCr, the
    table of green stands for luma, and the coarser one of red and blue for chroma.
    """
    components = header.components
    if any(component.table not in header.tables for component in components) or len(components) not in (1, 3, 4):
        return None, []
    if len(components) == 4:
        return None, ["it is a JPEG in CMYK, of whose compression a network can't be told"]
    entries = [header.tables[component.table] for component in components]
    if len(components) == 1:
        return JpegTables(entries[0], entries[0], "4:4:4"), []
    first, *others = (1, 0, 2) if header.is_rgb else (0, 1, 2)
    chroma = _larger_entries(*(entries[number] for number in others))
    subsampling, warnings = _subsampling([components[number] for number in (first, *others)])
    return JpegTables(entries[first], chroma, subsampling), warnings


def _larger_entries(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(max, first, second))


def coarser(one: JpegTables, other: JpegTables) -> JpegTables:
    """The larger entries of both luma and both chroma tables, and the coarser subsampling."""
    subsampling = max(one.subsampling, other.subsampling, key=SUBSAMPLINGS.get)
    luma, chroma = _larger_entries(one.luma, other.luma), _larger_entries(one.chroma, other.chroma)
    return JpegTables(luma, chroma, subsampling)


def _subsampling(components: list[Component]) -> tuple[str, list[str]]:
    """The subsampling of the second and third component, and a warning if it is only the nearest one with a name."""
    most = [max(getattr(component, axis) for component in components) for axis in ("columns", "rows")]
    factors = [(most[0] / max(each.columns, 1), most[1] / max(each.rows, 1)) for each in components]
    luma, *chroma = factors
    coarsest = max(chroma, key=lambda factor: factor[0] * factor[1])
    if luma == (1, 1) and chroma[0] == chroma[1] and coarsest in NAMED_SUBSAMPLINGS:
        return NAMED_SUBSAMPLINGS[coarsest], []
    nearest = NAMED_SUBSAMPLINGS[min(round(coarsest[0]), 2), min(round(coarsest[1]), 2)]
    if coarsest[0] * coarsest[1] >= 4:  # such as 4:1:1
        nearest = "4:2:0"
    found = ", ".join(f"{component.columns}×{component.rows}" for component in components)
    return nearest, [f"the sampling factors of its JPEG components, {found}, are taken for {nearest}"]


def transposed(tables: JpegTables) -> JpegTables:
    """The tables of a picture that is turned by 90°."""
    swapped = {"4:2:2": "4:4:0", "4:4:0": "4:2:2"}
    luma, chroma = (tuple(np.reshape(table, (8, 8)).T.ravel().tolist()) for table in (tables.luma, tables.chroma))
    return replace(tables, luma=luma, chroma=chroma, subsampling=swapped.get(tables.subsampling, tables.subsampling))
