"""The layout of a pack: an HDF5 file that holds the pixels of many pictures in one dataset.

The datasets of a pack:

- `pixels`, uint8: the pictures one after another. A picture is cut into tiles of 64×64 pixels; the tiles at its right
  and lower edge are smaller. Tiles follow each other from left to right, then from top to bottom. Inside a tile, the
  pixels are ordered by columns: (columns, rows, 3). So the columns of a row of tiles are consecutive bytes, and a crop
  reads only the columns that it needs.
- `pictures`, a table with a row for each picture: its height and width, the number of the file that it was read from,
  and its size relative to this file (1, or less for smaller versions). The versions of a file are consecutive, the
  largest one first.
- `names`, bytes in UTF-8: the name of each file. `lossy`, bool: whether the format of the file is lossy, as JPEG.
- `checksums`, uint32: the CRC-32 of each tile.

Four large datasets, instead of one for each picture, open in a time and memory that hardly grow with their number. The
attribute `identity` is a digest of all datasets (of the pixels through their checksums).
"""

import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from srmd.base.arithmetic import ceil_div

PACK_FORMAT = "srmd pictures"  # the attribute `format` of the file
PACK_VERSION = 2  # the attribute `version`
TILE_SIDE = 64  # pixels
PICTURE_FIELDS = np.dtype([("height", "<u4"), ("width", "<u4"), ("file", "<u4"), ("relative_size", "<f8")])
MAX_SIDE = 2**28  # pixels, of a picture in a pack


@dataclass(frozen=True)
class PackIndex:
    """All datasets of a pack but the pixels; n pictures made from m files."""

    pictures: NDArray  # (n,) of PICTURE_FIELDS
    names: NDArray[np.bytes_]  # (m,), UTF-8
    lossy: NDArray[np.bool_]  # (m,)
    checksums: NDArray[np.uint32]  # (tiles of all pictures,)

    @cached_property
    def identity(self) -> str:
        """Return a digest of names, sizes and pixels; two packs of equal pictures have the same identity."""
        digest = hashlib.sha256()
        for array in (self.pictures, self.names, self.lossy, self.checksums):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8))
        return digest.hexdigest()

    def byte_counts(self) -> NDArray[np.int64]:
        """Return the number of bytes of each picture's pixels, (n,)."""
        return 3 * self.pictures["height"].astype(np.int64) * self.pictures["width"]

    def tile_counts(self) -> NDArray[np.int64]:
        """Return the number of each picture's tiles, (n,)."""
        height, width = (self.pictures[name].astype(np.int64) for name in ("height", "width"))
        return ceil_div(height, TILE_SIDE) * ceil_div(width, TILE_SIDE)


def encode(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return a picture's pixels (H, W, 3) in the order of a pack, (3·H·W,), and the checksums of its tiles."""
    width = pixels.shape[1]
    encoded, checksums, start = np.empty(pixels.size, np.uint8), [], 0
    for top in range(0, len(pixels), TILE_SIDE):
        band = pixels[top : top + TILE_SIDE]
        tiles = encoded[start : start + band.size].reshape(width, len(band), 3)
        copy_pixels(tiles, band.transpose(1, 0, 2))
        checksums += tile_checksums(tiles)
        start += band.size
    return encoded, np.array(checksums, "<u4")


def tile_checksums(tiles: NDArray[np.uint8]) -> list[int]:
    """Return the CRC-32 of each tile in a row of tiles, (columns, rows, 3)."""
    return [zlib.crc32(tiles[left : left + TILE_SIDE]) for left in range(0, len(tiles), TILE_SIDE)]


def copy_pixels(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Copy pixels (H, W, 3) whose axes may be flipped or swapped.

    NumPy copies one channel after another three times as fast as pixels of three bytes, because its loop over the
    innermost axis is then long.
    """
    for channel in range(3):
        target[..., channel] = source[..., channel]
