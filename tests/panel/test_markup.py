"""What the page says of the compression that was found."""

import pytest

from srmd.jpeg.tables import JpegTables
from srmd.panel.markup import describe_jpeg
from srmd.restore.jpeg import ToldJpeg

OF_FILE = JpegTables.of_quality(80, "4:2:0")
GIVEN = ToldJpeg(JpegTables.of_quality(40, "4:4:4"), "given")
NO_TRACES = "no traces of JPEG compression were found"


@pytest.mark.parametrize(
    ("told", "of_file", "is_searched", "text"),
    [
        (ToldJpeg(OF_FILE, "file"), OF_FILE, True, "quality ≈ 80 4:2:0, from the file"),
        (ToldJpeg(OF_FILE, "file", True), OF_FILE, True, "quality ≈ 80 4:2:0, compressed twice, from the file"),
        (ToldJpeg(OF_FILE, "estimated"), None, True, "quality ≈ 80 4:2:0, estimated"),
        (None, None, True, NO_TRACES),
        (None, OF_FILE, False, "quality ≈ 80 4:2:0, from the file; the network is told of none"),
        (None, None, False, "the file is no JPEG; the network is told of none"),
        (GIVEN, OF_FILE, False, "quality ≈ 80 4:2:0, from the file; the network is told quality ≈ 40 4:4:4, as set"),
        (GIVEN, None, False, "the file is no JPEG; the network is told quality ≈ 40 4:4:4, as set"),
    ],
)
def test_the_compression_in_words(told: ToldJpeg | None, of_file: JpegTables | None, is_searched: bool, text: str):
    assert describe_jpeg(told, of_file, is_searched) == text
