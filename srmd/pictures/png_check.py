"""Checks the pixels of a PNG before torchvision reads it: its libpng ends the process if they are damaged."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from srmd.pictures.png_chunks import PNG_GREY, PNG_GREY_ALPHA, PNG_RGB, PNG_RGB_ALPHA, PNG_SIGNATURE, png_chunk

CHANNELS = {PNG_GREY: 1, PNG_RGB: 3, PNG_GREY_ALPHA: 2, PNG_RGB_ALPHA: 4}
MAX_FILTER = 4
# The first row and column, and the distances of rows and columns, of each pass of an interlaced PNG.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
INPUT_BYTES = 2**16  # that are decompressed at once
BLOCK_BYTES = 2**20  # of rows that are checked at once


def plain_png(path: Path) -> bytes:
    """A PNG of 16 bits with the header and the pixels of a file, and nothing else. Raises ValueError if it is damaged.

    The check sum of every part, the number of rows, and the filter of each row are checked.
    """
    header, data = b"", []
    for name, content in _chunks(path):
        if name == b"IHDR":
            header = content
        elif name == b"IDAT":
            data.append(content)
    width, height, depth, colour_type, *methods, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 16 or colour_type not in CHANNELS or methods != [0, 0] or interlaced not in (0, 1):
        raise ValueError("its header is damaged")
    pixels = _Pixels(b"".join(data))
    bytes_per_pixel = 2 * CHANNELS[colour_type]
    for rows, columns in _passes(height, width) if interlaced else [(height, width)]:
        pixels.check_rows(rows, 1 + columns * bytes_per_pixel)
    parts = png_chunk(b"IHDR", header), png_chunk(b"IDAT", pixels.end()), png_chunk(b"IEND", b"")
    return b"".join([PNG_SIGNATURE, *parts])


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the header and of each part of the pixels."""
    with path.open("rb") as file:
        file.seek(len(PNG_SIGNATURE))
        while len(start := file.read(8)) == 8 and start[4:] != b"IEND":
            size, name = struct.unpack(">I4s", start)
            if name not in (b"IHDR", b"IDAT"):
                file.seek(size + 4, 1)
                continue
            content, check_sum = file.read(size), file.read(4)
            if check_sum != zlib.crc32(name + content).to_bytes(4, "big"):
                raise ValueError("its pixels have a wrong check sum")
            yield name, content


def _passes(height: int, width: int) -> Iterator[tuple[int, int]]:
    """The rows and columns of each pass of an interlaced PNG that has any."""
    for first_row, first_column, row_step, column_step in PASSES:
        rows, columns = len(range(first_row, height, row_step)), len(range(first_column, width, column_step))
        if rows and columns:
            yield rows, columns


class _Pixels:
    """The compressed pixels of a PNG, which are decompressed block by block."""

    def __init__(self, data: bytes):
        self._data, self._position, self._rest = data, 0, b""
        self._inflate = zlib.decompressobj()

    def check_rows(self, count: int, length: int) -> None:
        """Raises ValueError or zlib.error unless the next rows of this length are there and have known filters."""
        rows_per_block = max(1, BLOCK_BYTES // length)
        for start in range(0, count, rows_per_block):
            rows = min(rows_per_block, count - start)
            block = b"".join(self._read(rows * length))
            if np.frombuffer(block, np.uint8)[::length].max() > MAX_FILTER:
                raise ValueError("its pixels are damaged")

    def _read(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._rest:
                self._rest = self._next_input()
            block = self._inflate.decompress(self._rest, count)
            self._rest = self._inflate.unconsumed_tail
            count -= len(block)
            yield block

    def _next_input(self) -> bytes:
        if self._position >= len(self._data) or self._inflate.eof:
            raise ValueError("its pixels are cut short")
        self._position += INPUT_BYTES
        return self._data[self._position - INPUT_BYTES : self._position]

    def end(self) -> bytes:
        """The compressed pixels without bytes behind them. Raises ValueError if there are further rows."""
        while not self._inflate.eof:
            if self._inflate.decompress(self._rest or self._next_input(), 1):
                raise ValueError("it has more pixels than its header states")
            self._rest = self._inflate.unconsumed_tail
        behind = len(self._inflate.unused_data)
        return self._data[: min(self._position, len(self._data)) - behind]
