"""What a network is told of the JPEG compression of a picture, and where that is known from."""

import logging
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from srmd.config import AUTO, Auto
from srmd.jpeg.detect import find_earlier_jpeg, find_jpeg
from srmd.jpeg.header import coarser, header_of_image, tables_of_header
from srmd.jpeg.tables import JpegTables
from srmd.pictures.picture import has_equal_channels

logger = logging.getLogger("srmd")

DEFAULT_SUBSAMPLING = "4:2:0"


@dataclass(frozen=True)
class ToldJpeg:
    """The tables that a network is told, and their source: `file`, `estimated` or `given`."""

    tables: JpegTables
    source: str
    is_compressed_twice: bool = False  # whether tables of an earlier, coarser compression are told

    def describe(self) -> str:
        """The tables in words, such as `JPEG quality ≈ 75 4:2:0`."""
        earlier = ", compressed twice" if self.is_compressed_twice else ""
        return f"JPEG quality ≈ {self.tables.quality} {self.tables.subsampling}{earlier}"

    def entry(self) -> dict[str, Any]:
        """The tables as metrics.json states them."""
        condition = [round(number, 4) for number in self.tables.condition]
        entry = {"condition": condition, "quality": self.tables.quality, "subsampling": self.tables.subsampling}
        return entry | {"source": self.source} | ({"compressed_twice": True} if self.is_compressed_twice else {})


def told_jpeg(choice: int | Auto | None, pixels: NDArray, of_file: JpegTables | None) -> ToldJpeg | None:
    """What a network is told of a picture (h, w, 3), unsigned integers or floats in 0 to 1; None: no JPEG.

    `choice` is a quality, or `auto`: the tables of the file, `of_file`, or for a file that is no JPEG those that are
    estimated, if it once was one. Where a JPEG was compressed twice, the coarser entries of both tables are told.
    """
    if choice is None:
        return None
    if choice != AUTO:
        return ToldJpeg(tables_of_quality(choice, pixels, of_file), "given")
    if of_file is None:
        found = find_jpeg(pixels)
        return None if found is None else ToldJpeg(found, "estimated")
    earlier = find_earlier_jpeg(pixels, of_file)
    if earlier is None:
        return ToldJpeg(of_file, "file")
    return ToldJpeg(coarser(of_file, earlier), "file", is_compressed_twice=True)


def tables_of_pil(picture: Any) -> JpegTables | None:
    """The tables of a PIL picture that was opened from a JPEG; None for other pictures, also for its copies."""
    if getattr(picture, "format", None) not in ("JPEG", "MPO") or not hasattr(picture, "quantization"):
        return None
    reduction = picture.decoderconfig[0] if picture.decoderconfig else 1  # by `draft`, which `thumbnail` may use
    if reduction > 1:
        return None
    tables, warnings = tables_of_header(header_of_image(picture))
    for warning in warnings:
        logger.warning("picture: %s", warning)
    return tables


def tables_of_quality(quality: int, pixels: NDArray, of_file: JpegTables | None = None) -> JpegTables:
    """The standard tables of a quality with the subsampling of the file, or else 4:2:0; grey is not subsampled."""
    subsampling = DEFAULT_SUBSAMPLING if of_file is None else of_file.subsampling
    tables = JpegTables.of_quality(quality, subsampling)
    return tables.as_grey() if has_equal_channels(pixels) else tables
