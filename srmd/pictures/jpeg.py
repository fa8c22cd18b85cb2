"""The quantisation tables and the subsampling of an opened picture file: JPEG, MPO, or JPEG inside TIFF."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

from PIL import ExifTags, Image

from srmd.jpeg.header import (
    Component,
    JpegHeader,
    coarser,
    header_of_image,
    header_of_stream,
    row_by_row,
    tables_of_header,
    transposed,
)
from srmd.jpeg.tables import JpegTables
from srmd.pictures.tiff import COMPRESSION, PHOTOMETRIC, RGB, SAMPLES_PER_PIXEL, Tags, numbers_of

MAX_HEADER_BYTES = 4096  # of a strip or tile; a header without metadata is shorter
OLD_JPEG, JPEG = 6, 7  # Compression
BLACK_OR_WHITE_IS_ZERO = (0, 1)  # PhotometricInterpretation of grey
YCBCR = 6
SHARED_TABLES = 347
OLD_STREAM, OLD_TABLES = 513, 519  # positions in the file
YCBCR_SUBSAMPLING = 530
TILE_OFFSETS, STRIP_OFFSETS = ExifTags.Base.TileOffsets, ExifTags.Base.StripOffsets


def read_jpeg_tables(image: Image.Image, path: Path, orientation: int) -> tuple[JpegTables | None, list[str]]:
    """The tables of the picture when it is upright, and warnings of what of them a network can't be told.

    None for formats other than JPEG, and for CMYK. `orientation` is the EXIF orientation of the file, 1 to 8.
    """
    if image.format in ("JPEG", "MPO"):
        tables, warnings = tables_of_header(header_of_image(image))
    elif image.format == "TIFF" and image.tag_v2.get(COMPRESSION) in (OLD_JPEG, JPEG):
        tables, warnings = _tables_of_tiff(image.tag_v2, path)
    else:
        return None, []
    is_turned = orientation >= 5  # by 90°
    return (transposed(tables) if tables and is_turned else tables), warnings


def _tables_of_tiff(tags: Tags, path: Path) -> tuple[JpegTables | None, list[str]]:
    """The coarsest tables of all strips or tiles; each may have tables of its own."""
    if tags.get(PHOTOMETRIC) not in (*BLACK_OR_WHITE_IS_ZERO, RGB, YCBCR):
        return None, ["it is a JPEG in CMYK or Lab, of whose compression a network can't be told"]
    different, warnings = set(), set()
    for header in _old_headers(tags, path) if tags[COMPRESSION] == OLD_JPEG else _headers(tags, path):
        # The tags of a TIFF say what its components are, not the markers of a JPEG.
        header.has_jfif, header.adobe_transform = False, 0 if tags[PHOTOMETRIC] == RGB else 1
        tables, messages = tables_of_header(header)
        warnings.update(messages)
        different.add(tables)
    different.discard(None)
    if len(different) > 1:
        warnings.add("its strips or tiles have different JPEG tables, of which the coarsest are used")
    return (reduce(coarser, different) if different else None), sorted(warnings)


def _headers(tags: Tags, path: Path) -> Iterator[JpegHeader]:
    """The header of each strip or tile, with the tables that all share."""
    shared = header_of_stream(tags.get(SHARED_TABLES, b"")).tables
    with path.open("rb") as file:
        for position in numbers_of(tags.get(TILE_OFFSETS, tags.get(STRIP_OFFSETS, ()))):
            file.seek(position)
            header = header_of_stream(file.read(MAX_HEADER_BYTES))
            header.tables = shared | header.tables
            yield header


def _old_headers(tags: Tags, path: Path) -> Iterator[JpegHeader]:
    """The header of JPEG data as TIFF 6.0 first defined it: a whole JPEG, or tables at stated positions of the file."""
    with path.open("rb") as file:
        if OLD_STREAM in tags:
            file.seek(tags[OLD_STREAM])
            yield header_of_stream(file.read(MAX_HEADER_BYTES))
            return
        tables = {}
        for number, position in enumerate(numbers_of(tags.get(OLD_TABLES, ()))):
            file.seek(position)
            tables[number] = row_by_row(file.read(64).ljust(64, b"\1"))
    columns, rows = tags.get(YCBCR_SUBSAMPLING, (2, 2)) if tags[PHOTOMETRIC] == YCBCR else (1, 1)
    factors = [(columns, rows), *[(1, 1)] * (tags.get(SAMPLES_PER_PIXEL, 1) - 1)]
    components = tuple(Component(number + 1, *factor, number) for number, factor in enumerate(factors))
    yield JpegHeader(tables, components)
