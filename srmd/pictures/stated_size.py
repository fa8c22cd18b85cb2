"""Checks the sizes that a picture file states, and the scans of a JPEG, before its pixels are decoded.

A decoder takes memory for what the headers state: 256 bytes of JPEG 2000 may state 268 megapixels, and take 5 GB.
"""

import io
import mmap
from contextlib import suppress
from typing import BinaryIO

from PIL import ExifTags, IcnsImagePlugin, IcoImagePlugin, Image, UnidentifiedImageError
from PIL.BmpImagePlugin import DibImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from srmd.base.errors import InputError
from srmd.jpeg.header import count_scans
from srmd.pictures.png_chunks import PNG_SIGNATURE

# Of pictures with more pixels than UNCHECKED_PIXELS, a file has at least a byte for this number of pixels. Deflate, the
# compression of PNG, packs at most 1032 pixels of 8 bits in a byte.
MAX_PIXELS_PER_BYTE = 2048
UNCHECKED_PIXELS = 2**26
MAX_ICON_PIXELS = 2**22  # of a picture in an icon; by the formats' definitions they have up to 1024×1024 pixels
MAX_SCANS = 100  # of a JPEG; a progressive one has about 10, and programs that search for the best ones use up to 64
ICO_SIGNATURE = b"\0\0\1\0"
TILE_WIDTH, TILE_LENGTH = ExifTags.Base.TileWidth, ExifTags.Base.TileLength
BLP_JPEG = 0  # compression of BLP1


def check_ico(file: BinaryIO) -> None:
    """Raises InputError if a file is an .ico whose picture, which Pillow decodes when it opens the file, is too large.

    Leaves the file at its start.
    """
    if file.read(len(ICO_SIGNATURE)) == ICO_SIGNATURE:
        file.seek(0)
        with suppress(SyntaxError, IndexError):  # no icon
            start = IcoImagePlugin.IcoFile(file).entry[0].offset
            file.seek(start)
            is_png = file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE
            file.seek(start)
            _check_icon(PngImageFile(file) if is_png else DibImageFile(file))
    file.seek(0)


def check_stated_size(image: Image.Image, bytes_in_file: int, max_pixels: int) -> None:
    """Raises InputError if an opened picture file states more than `max_pixels` pixels, or too many for its size."""
    for pixels in _stated_pixels(image):
        if pixels > max_pixels:
            raise InputError(f"expected at most {max_pixels:,} pixels (`max_pixels`), found {pixels:,}")
        if pixels > max(UNCHECKED_PIXELS, MAX_PIXELS_PER_BYTE * bytes_in_file):
            found = f"{bytes_in_file:,} bytes for {pixels:,} pixels"
            raise InputError(f"expected at least a byte for {MAX_PIXELS_PER_BYTE} pixels, found {found}")
    if image.format == "FITS" and image.tile[0].codec_name == "fits_gzip":
        raise InputError("expected FITS without compression")  # Pillow takes 100 bytes per pixel
    if image.format == "ICNS":
        _check_icns(image)


def check_scans(image: Image.Image) -> None:
    """Raises InputError if an opened JPEG has more than MAX_SCANS scans, each of which takes as long as a picture."""
    if image.format not in ("JPEG", "MPO"):
        return
    with mmap.mmap(image.fp.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if count_scans(content, MAX_SCANS) > MAX_SCANS:
            raise InputError(f"expected a JPEG of at most {MAX_SCANS} scans, found more")


def _stated_pixels(image: Image.Image) -> list[int]:
    """The pixels of a picture and of what is decoded at once: a tile of a TIFF, the JPEG in a texture."""
    found = [image.width * image.height]
    if image.format == "TIFF" and TILE_WIDTH in image.tag_v2 and TILE_LENGTH in image.tag_v2:
        found.append(image.tag_v2[TILE_WIDTH] * image.tag_v2[TILE_LENGTH])
    if image.format == "BLP" and image.tile[0].codec_name == "BLP1" and image.tile[0].args[0] == BLP_JPEG:
        found.append(_pixels_of_blp_jpeg(image))
    return found


def _pixels_of_blp_jpeg(image: Image.Image) -> int:
    """The pixels of the JPEG in a BLP1 file: its header, and its data at the first of 16 positions, are apart."""
    image.fp.seek(image.tile[0].offset)
    positions_and_sizes, rest = image.fp.read(2 * 16 * 4), image.fp.read()
    header = rest[4 : 4 + int.from_bytes(rest[:4], "little")]
    image.fp.seek(int.from_bytes(positions_and_sizes[:4], "little"))
    with JpegImageFile(io.BytesIO(header + image.fp.read())) as jpeg:
        return jpeg.width * jpeg.height


def _check_icns(image: IcnsImagePlugin.IcnsImageFile) -> None:
    icon = image.icns
    for code, _ in icon.SIZES[image.best_size]:
        if code not in icon.dct:
            continue
        start, length = icon.dct[code]
        icon.fobj.seek(start)
        content = io.BytesIO(icon.fobj.read(length))
        with suppress(UnidentifiedImageError), Image.open(content, formats=["PNG", "JPEG2000"]) as part:
            _check_icon(part)


def _check_icon(image: Image.Image) -> None:
    if image.width * image.height > MAX_ICON_PIXELS:
        raise InputError(f"expected icons of at most {MAX_ICON_PIXELS:,} pixels, found {image.width}×{image.height}")
