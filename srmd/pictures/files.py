"""Reads and writes picture files: pixels with 8 or 16 bits, grey or RGB, transparency and metadata.

Inside the program every picture has three channels, RGB. Pillow reduces RGB of 16 bits, and 16-bit grey with alpha, to
8 bits. For PNG `png16.py` reads and writes all 16 bits, for TIFF `tiff16.py` reads them; from other formats such
pictures are read as 8 bits.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, describe_path
from srmd.base.kinds import PICTURE, describe_content
from srmd.base.warnings import log_warning
from srmd.config import MAX_PIXELS
from srmd.pictures import tiff16
from srmd.pictures.decode import to_picture
from srmd.pictures.formats import (
    ALPHA_FORMATS,
    DEFAULT_QUALITY,
    GREY16_FORMATS,
    QUALITY_FORMATS,
    REFUSED_FORMATS,
    format_to_write,
)
from srmd.pictures.jpeg import read_jpeg_tables
from srmd.pictures.metadata import (
    fit_metadata,
    has_several_pictures,
    load_image,
    orientation_of,
    read_metadata,
    save_options,
)
from srmd.pictures.picture import Metadata, Picture, as_floats, change_depth, quantise
from srmd.pictures.pillow import pillow_settings
from srmd.pictures.png16 import encode_16_bit_png, with_16_bits
from srmd.pictures.png_chunks import HEADER_END, PNG_GREY_ALPHA, PngHeader, metadata_chunks, read_png_header
from srmd.pictures.stated_size import check_ico, check_scans, check_stated_size
from srmd.pictures.tiff import check_tiff, correct_tiff, describe_tiff, stored_size


def read_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a file, upright; of an animation or a file of several pages the first.

    Raises InputError if the file does not exist, is no picture, is damaged, has values that can't be read correctly, or
    has more than `max_pixels` pixels.
    """
    path = Path(path)
    with errors_of_reading(path), pillow_settings():
        return _read_picture(path, max_pixels)


@contextmanager
def errors_of_reading(path: Path) -> Iterator[None]:
    """Raises InputError, which names the path, for any error inside the `with` block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        kind = describe_content(path)
        found = "not a picture of a known format" if kind in (None, PICTURE) else f"expected a picture, found {kind}"
        raise InputError(f"{path}: {describe_tiff(path) or found}") from error
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory for this picture") from error
    except Exception as error:  # a damaged file can raise any exception in Pillow's readers
        raise InputError(f"{path}: a broken picture ({error})") from error


def _read_picture(path: Path, max_pixels: int) -> Picture:
    with open_image(path, max_pixels) as image:
        several = has_several_pictures(image)
        check_scans(image)
        if image.format == "TIFF":
            check_tiff(image)
            orientation = orientation_of(image)  # Pillow removes it when it loads the pixels
        load_image(image)
        if image.format != "TIFF":
            orientation = orientation_of(image)
        png = read_png_header(path) if image.format == "PNG" else None
        if png and png.bit_depth < 8 and "transparency" in image.info and image.mode == "L":
            # Pillow scales grey values of 2 and 4 bits to 8, but not the value that is transparent.
            image.info["transparency"] *= 255 // (2**png.bit_depth - 1)
        ImageOps.exif_transpose(image, in_place=True)
        is_grey_alpha = png and png.colour_type == PNG_GREY_ALPHA  # Pillow reads RGBA where it has 16 bits
        picture = to_picture(image.convert("LA") if is_grey_alpha else image)
        picture = replace(picture, metadata=replace(read_metadata(image), icc=picture.metadata.icc))
        jpeg, jpeg_warnings = read_jpeg_tables(image, path, orientation)
        picture = replace(picture, jpeg=jpeg, warnings=(*picture.warnings, *jpeg_warnings))
        if image.format == "TIFF":
            picture = tiff16.with_16_bits(correct_tiff(picture, image), image, path, orientation)
    if png:
        picture = _complete_png(picture, png, path, orientation)
    if several:
        warning = "it holds several pictures (frames or pages), of which the first is used"
        picture = replace(picture, warnings=(warning, *picture.warnings))
    return picture


def _complete_png(picture: Picture, png: PngHeader, path: Path, orientation: int) -> Picture:
    """The picture with what Pillow does not read from a PNG: 16 bits, and chunks that describe colours or hold text."""
    picture = replace(picture, metadata=replace(picture.metadata, png_chunks=png.kept_chunks))
    return with_16_bits(picture, png, path, orientation)


def count_pixels(path: Path, max_pixels: int = MAX_PIXELS, twice_with_alpha: bool = False) -> int:
    """The number of pixels that the header of a picture file states; 0 if it is above `max_pixels` or unreadable.

    If `twice_with_alpha`, those of a picture with transparency are counted twice: for its colours and for its alpha.
    """
    try:
        with open_image(path, max_pixels) as image:
            pixels = image.width * image.height
            return 2 * pixels if twice_with_alpha and image.has_transparency_data else pixels
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return 0


def upright_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of the picture in a file as `read_picture` would return it, read from the file's header.

    Raises InputError if there is no header of a picture of at most `max_pixels` pixels.
    """
    with errors_of_reading(path), open_image(path, max_pixels) as image:
        # Of a TIFF some versions of Pillow state the upright size, the others the one in the file.
        width, height = stored_size(image) if image.format == "TIFF" else image.size
        is_turned = orientation_of(image) >= 5  # by 90°
        return (width, height) if is_turned else (height, width)


@contextmanager
def open_image(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Opens a picture file with Pillow, whose settings are those of `pillow_settings` inside the `with` block.

    Raises InputError if the path is no file, or if the picture has more than `max_pixels` pixels, or more than its file
    can hold.
    """
    if (found := describe_path(path)) != "a file":  # opening a pipe, for example, could block for ever
        raise InputError(f"expected a picture, found {found}")
    # Pillow maps a file that it opens by its path, and mixes up the rows of such a TIFF if it is turned by 90°.
    with pillow_settings(), Path(path).open("rb") as file:
        check_ico(file)
        bytes_in_file = os.fstat(file.fileno()).st_size  # before Pillow closes the file, as for FTEX
        with Image.open(file, formats=readable_formats()) as image:
            check_stated_size(image, bytes_in_file, max_pixels)
            yield image


def readable_formats() -> list[str]:
    """The names of the formats that Pillow may read: all but REFUSED_FORMATS."""
    Image.init()
    return [name for name in Image.OPEN if name not in REFUSED_FORMATS]


def write_picture(
    path: Path,
    picture: NDArray,
    source: Picture | None = None,
    alpha: NDArray[np.unsignedinteger] | None = None,
    quality: int = DEFAULT_QUALITY,
    warn: Callable[[Path, str], object] = log_warning,
) -> None:
    """Writes a picture, atomically, in the format of the path's suffix; arguments and errors as in `encode_picture`."""
    path = Path(path)
    parts = encode_picture(path, picture, source, alpha, quality, warn)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def encode_picture(
    path: Path,
    picture: NDArray,
    source: Picture | None = None,
    alpha: NDArray[np.unsignedinteger] | None = None,
    quality: int = DEFAULT_QUALITY,
    warn: Callable[[Path, str], object] = log_warning,
) -> list[bytes | memoryview]:
    """The content of a picture file in the format of the path's suffix, in parts.

    `picture` is (H, W, 3), floats in 0 to 1, which are clipped and rounded, or (H, W, 3 or 1), uint8 or uint16 from
    `quantise`, which are written unchanged. `alpha` is (H, W). The file gets the properties of `source`, the picture
    that was restored: grey, 16 bits and metadata, in which sizes are those of `picture`. If the format has no 16 bits,
    8 are written; if it has no alpha, the picture is composited over white. `quality` is 1 to 100, for QUALITY_FORMATS.
    `warn` is called with the path and a warning for each colour description that the format can't hold. Raises
    InputError for a suffix or a size that cannot be written.
    """
    name, source = format_to_write(path), source or Picture(np.empty((0, 0, 3), np.uint8))
    height, width = picture.shape[:2]
    metadata = fit_metadata(source.metadata, width, height)
    buffer = io.BytesIO()
    try:
        if name == "PNG":
            return _encode_png(picture, alpha, source, metadata)
        options, lost = save_options(metadata, name, grey=_is_grey_file(source, alpha, name))
        for warning in lost:
            warn(path, warning)
        if name in QUALITY_FORMATS:
            options["quality"] = quality
        if name == "JPEG":
            options["subsampling"] = 0  # the writer's default would halve the resolution of colours
        to_image(picture, source, alpha, name).save(buffer, name, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {name} can't hold this picture ({error})") from error
    return [buffer.getvalue()]


def _is_grey_file(source: Picture, alpha: NDArray | None, name: str) -> bool:
    """Whether the file has one colour channel; Pillow writes RGB where the format has no grey, or not with alpha."""
    return source.grey and name != "WEBP" and not (name == "AVIF" and alpha is not None)


def _encode_png(
    picture: NDArray, alpha: NDArray | None, source: Picture, metadata: Metadata
) -> list[bytes | memoryview]:
    chunks = metadata_chunks(metadata)
    if source.pixels.dtype == np.uint16 and (alpha is not None or not source.grey):
        pixels = quantise(picture, np.uint16, source.grey) if picture.dtype.kind == "f" else picture
        return encode_16_bit_png(_with_channels(pixels, source.grey), alpha, chunks)
    buffer = io.BytesIO()
    to_image(picture, source, alpha, "PNG").save(buffer, "PNG")
    encoded = memoryview(buffer.getvalue())
    return [encoded[:HEADER_END], chunks, encoded[HEADER_END:]]


def to_image(picture: NDArray, source: Picture, alpha: NDArray | None, name: str) -> Image.Image:
    """The Pillow image that `write_picture` saves for its arguments; `name` is Pillow's name of the format."""
    if alpha is not None and name not in ALPHA_FORMATS:
        rgb = np.clip(picture, 0, 1) if picture.dtype.kind == "f" else as_floats(picture)
        picture, alpha = over_white(rgb, alpha), None
    if picture.dtype.kind == "f":
        is_grey16 = source.grey and source.pixels.dtype == np.uint16 and alpha is None
        dtype = np.uint16 if is_grey16 and name in GREY16_FORMATS else np.uint8
        picture = quantise(picture, np.dtype(dtype), source.grey)
    elif picture.dtype == np.uint16 and not (source.grey and alpha is None and name in GREY16_FORMATS):
        picture = change_depth(picture, np.uint8)
    picture = _with_channels(picture, source.grey)
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    if alpha is not None:
        image.putalpha(Image.fromarray(change_depth(alpha, np.uint8)))
    return image


def _with_channels(pixels: NDArray, grey: bool) -> NDArray:
    """Pixels (H, W, 1) as (H, W, 3), unless the file has one channel."""
    return pixels if grey or pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def over_white(rgb: NDArray, alpha: NDArray[np.unsignedinteger]) -> NDArray:
    """A picture (H, W, C), 0 to 1, composited over white with alpha (H, W), uint8 or uint16; result: (H, W, C)."""
    opacity = as_floats(alpha)[..., None]
    return rgb * opacity + 1 - opacity
