"""Pictures compressed by libjpeg, through Pillow, with given tables."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.jpeg.colour import rgb_to_ycbcr
from srmd.jpeg.tables import MAX_ENTRY, JpegTables

BASELINE_FRAME = b"\xff\xc0"  # the marker of the frame header


def compress_array(rgb: NDArray[np.uint8], tables: JpegTables, grey: bool = False) -> NDArray[np.uint8]:
    """RGB (H, W, 3), compressed to a JPEG and read again: (H, W, 3).

    A grey JPEG holds the first channel only, with the luma table; its three channels are equal when it is read.
    """
    with Image.open(BytesIO(encode(rgb, tables, grey))) as picture:
        return np.asarray(picture.convert("RGB"))


def encode(rgb: NDArray[np.uint8], tables: JpegTables, grey: bool = False) -> bytes:
    """The content of a JPEG file of RGB (H, W, 3), or of its first channel if it is to be grey."""
    if grey:
        return _save(Image.fromarray(rgb[..., 0]), qtables=pillow_tables(tables)[:1])
    if tables.subsampling == "4:4:0":
        return _encode_440(rgb, tables)
    return _save(Image.fromarray(rgb), qtables=pillow_tables(tables), subsampling=tables.subsampling)


def pillow_tables(tables: JpegTables) -> list[list[int]]:
    """The tables as Pillow's `qtables`, with entries of 8 bits, as in baseline JPEG."""
    return [np.clip(table, 1, MAX_ENTRY).tolist() for table in (tables.luma, tables.chroma)]


def _save(picture: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def _encode_440(rgb: NDArray[np.uint8], tables: JpegTables) -> bytes:
    """A JPEG in 4:4:0, which Pillow does not write.

    A 4:2:2 JPEG has the same blocks in the same order: two of luma, one of each chroma. In 4:2:2 the two lie side by
    side, in 4:4:0 one above the other. So the blocks are rearranged, saved as 4:2:2, and the header is changed.
    """
    height, width, _ = rgb.shape
    padded = np.pad(rgb, ((0, -height % 16), (0, -width % 8), (0, 0)), mode="edge")
    ycbcr = rgb_to_ycbcr(padded).astype(np.int64)
    rows, columns = len(padded) // 16, padded.shape[1] // 8
    luma = ycbcr[..., 0].reshape(rows, 2, 8, columns, 8).transpose(0, 2, 3, 1, 4)
    # Both pixels of a pair get the mean of 4:4:0, which the mean of 4:2:2 leaves unchanged.
    means = (ycbcr[::2, :, 1:] + ycbcr[1::2, :, 1:] + 1) // 2
    arranged = np.empty((8 * rows, 16 * columns, 3), np.uint8)
    arranged[..., 0] = luma.reshape(8 * rows, 16 * columns)
    arranged[..., 1:] = means.repeat(2, axis=1)
    picture = Image.frombytes("YCbCr", (16 * columns, 8 * rows), arranged.tobytes())
    return _as_440(_save(picture, qtables=pillow_tables(tables), subsampling="4:2:2"), height, width)


def _as_440(content: bytes, height: int, width: int) -> bytes:
    """A 4:2:2 JPEG whose header says 4:4:0 and another size."""
    frame = 2  # the position after the start marker; each segment is a marker, its length and its content
    while content[frame : frame + 2] != BASELINE_FRAME:
        frame += 2 + int.from_bytes(content[frame + 2 : frame + 4], "big")
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    # Marker (2 bytes), length (2), bits (1), size (4), number of components (1), name of the first one (1), sampling
    return content[: frame + 5] + size + content[frame + 9 : frame + 11] + b"\x12" + content[frame + 12 :]
