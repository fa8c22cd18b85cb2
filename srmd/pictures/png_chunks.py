"""The chunks of PNG files (W3C specification, third edition): reading those that a result keeps, and writing them."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from srmd.pictures.iptc import iptc_chunk
from srmd.pictures.picture import Metadata

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types in the header of a PNG.
PNG_GREY = 0
PNG_RGB = 2
PNG_GREY_ALPHA = 4
PNG_RGB_ALPHA = 6
COLOUR_CHUNK_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}  # bytes
TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
READ_CHUNKS = {b"IHDR", b"tRNS", *COLOUR_CHUNK_SIZES, *TEXT_CHUNKS}
# Texts that are not copied, because what they hold is written separately: XMP, and the EXIF, XMP, ICC and IPTC data
# that ImageMagick writes as text.
OTHER_METADATA = (b"XML:com.adobe.xmp\0", b"Raw profile type ")
XMP_HEADER = b"XML:com.adobe.xmp\0\0\0\0\0"  # keyword, not compressed, no language, no translated keyword
COMMENT_HEADER = b"Comment\0\0\0\0\0"
HEADER_END = len(PNG_SIGNATURE) + 25  # position behind the chunk IHDR
METRES_PER_INCH = 0.0254


class PngHeader(NamedTuple):
    """What a PNG says before its pixels."""

    bit_depth: int
    colour_type: int
    transparent_colour: tuple[int, ...]  # the grey value or RGB that is transparent; empty if there is none
    kept_chunks: tuple[tuple[bytes, bytes], ...]  # name and data of the chunks that a result keeps


def read_png_header(path: Path) -> PngHeader | None:
    """The header of a PNG file, and its chunks, of which some may lie behind the pixels; None if it is no PNG."""
    with path.open("rb") as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            return None
        kept, header, transparent = [], b"", b""
        while len(start := file.read(8)) == 8 and start[4:] != b"IEND":
            size, name = struct.unpack(">I4s", start)
            if name in READ_CHUNKS:
                data = file.read(size)
                file.seek(4, 1)  # the check sum
                if name == b"IHDR":
                    header = data
                elif name == b"tRNS":
                    transparent = data
                elif _is_kept(name, data) and (name in TEXT_CHUNKS or name not in dict(kept)):
                    kept.append((name, data))
            else:
                file.seek(size + 4, 1)
    bit_depth, colour_type = header[8:10]
    colour = ()
    if colour_type in (PNG_GREY, PNG_RGB):
        colour = struct.unpack(f">{len(transparent) // 2}H", transparent[: len(transparent) // 2 * 2])
    return PngHeader(bit_depth, colour_type, colour, tuple(kept))


def _is_kept(name: bytes, data: bytes) -> bool:
    if name in TEXT_CHUNKS:
        return not data.startswith(OTHER_METADATA)
    return len(data) == COLOUR_CHUNK_SIZES[name]


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk: its length, name, data and check sum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def metadata_chunks(metadata: Metadata) -> bytes:
    """The chunks of a PNG file that hold this metadata; they belong between IHDR and the first IDAT or PLTE."""
    chunks = list(metadata.png_chunks)
    if metadata.icc:
        chunks = [(name, data) for name, data in chunks if name != b"sRGB"]  # a file may hold only one of both
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        per_metre = [round(dpi / METRES_PER_INCH) for dpi in metadata.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")))
    if metadata.xmp:
        chunks.append((b"iTXt", XMP_HEADER + metadata.xmp))
    if metadata.iptc:
        chunks.append((b"zTXt", iptc_chunk(metadata.iptc)))
    if metadata.comment:
        chunks.append((b"iTXt", COMMENT_HEADER + _to_utf_8(metadata.comment)))
    return b"".join(png_chunk(name, data) for name, data in chunks)


def _to_utf_8(comment: bytes) -> bytes:
    """A comment, which is UTF-8 or else taken for Latin-1, in UTF-8 without null characters."""
    try:
        text = comment.decode()
    except UnicodeDecodeError:
        text = comment.decode("latin-1")
    return text.replace("\0", "").encode()
