"""IPTC data, the captions of press photos (IPTC-IIM), which Photoshop's resources hold inside JPEG and PNG files."""

import struct
import zlib

from PIL import Image, TiffTags

PHOTOSHOP = b"Photoshop 3.0\0"
RESOURCE = b"8BIM"
IPTC_RESOURCE = 0x0404
IPTC_TAG = 33723  # of TIFF
APP13 = 0xFFED
PNG_KEYWORD = "Raw profile type iptc"  # a text in hexadecimal digits, as ImageMagick and ExifTool write it
DIGITS_PER_LINE = 72


def read_iptc(image: Image.Image) -> bytes | None:
    """The IPTC data of a loaded picture, if it is a JPEG, TIFF or PNG that holds some."""
    if image.format == "TIFF":
        return _from_tag(image)
    if PNG_KEYWORD in image.info:
        return _from_text(image.info[PNG_KEYWORD])
    return image.info.get("photoshop", {}).get(IPTC_RESOURCE)


def _from_tag(image: Image.Image) -> bytes | None:
    tags = image.tag_v2
    if IPTC_TAG not in tags.tagtype:
        return None
    tags.tagtype[IPTC_TAG] = TiffTags.UNDEFINED  # bytes; many programs say that they are numbers of 32 bits
    return tags[IPTC_TAG]


def _from_text(text: str) -> bytes | None:
    """The data in a text that consists of a name, a length and hexadecimal digits."""
    try:
        data = bytes.fromhex("".join(text.split()[2:]))
    except ValueError:
        return None
    return _from_resources(data) if data.startswith(RESOURCE) else data


def _from_resources(data: bytes) -> bytes | None:
    """The IPTC data among Photoshop's resources: each has a number, a name, a length and data, all of even length."""
    position = 0
    while data[position : position + 4] == RESOURCE and position + 12 <= len(data):
        number, name_length = struct.unpack(">HB", data[position + 4 : position + 7])
        position += 6 + 2 * (name_length // 2 + 1)
        size = int.from_bytes(data[position : position + 4], "big")
        if number == IPTC_RESOURCE:
            return data[position + 4 : position + 4 + size]
        position += 4 + size + size % 2
    return None


def _as_resource(iptc: bytes) -> bytes:
    return RESOURCE + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def iptc_segment(iptc: bytes) -> bytes:
    """The segment of a JPEG that holds IPTC data."""
    content = PHOTOSHOP + _as_resource(iptc)
    return struct.pack(">HH", APP13, len(content) + 2) + content


def iptc_chunk(iptc: bytes) -> bytes:
    """The data of a chunk zTXt of a PNG that holds IPTC data."""
    digits = _as_resource(iptc).hex()
    lines = [digits[start : start + DIGITS_PER_LINE] for start in range(0, len(digits), DIGITS_PER_LINE)]
    text = "\n".join(["", "iptc", f"{len(digits) // 2:8}", *lines, ""])
    return PNG_KEYWORD.encode() + b"\0\0" + zlib.compress(text.encode())
