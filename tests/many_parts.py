"""Picture files of many scans, pages or frames."""

import io
import struct

import numpy as np
from PIL import Image

from srmd.jpeg.header import count_scans

SCAN = b"\xff\xda"


def progressive(side: int = 40, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True, **options)
    return buffer.getvalue()


def with_scans(count: int, side: int = 40) -> bytes:
    """A JPEG whose last scan is repeated until it has at least `count` scans."""
    content = progressive(side)
    last = content[content.rindex(SCAN) : -2]
    return content[:-2] + last * (count - count_scans(content, 1000)) + content[-2:]


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
