"""The formats that restored pictures are written in: their suffixes, and what of a picture they cannot hold."""

from pathlib import Path

import numpy as np
from PIL import Image

from srmd.base.errors import InputError
from srmd.pictures.picture import Picture

# Formats that are never read or written: Pillow renders EPS and WMF with another program, and opens what is in IPTC as
# any format, EPS too; the others are data or video.
REFUSED_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Never written: the writers of icons shrink a picture that is too large, PDF and MPO hold a JPEG whose quality can't be
# chosen, Pillow will drop IM, and the others hold no RGB.
NOT_WRITTEN_FORMATS = {"ICO", "ICNS", "PDF", "MPO", "IM", "BLP", "MSP", "PALM", "SPIDER", "XBM"}
# Suffixes of picture formats that Pillow does not know: of phones, of cameras, of drawing programs, and newer ones.
UNKNOWN_SUFFIXES = {".heic", ".heif", ".hif", ".jxl", ".jxr", ".svg", ".exr", ".hdr", ".xcf", ".kra", ".ai", ".raw"}
UNKNOWN_SUFFIXES |= {".dng", ".arw", ".cr2", ".cr3", ".nef", ".orf", ".pef", ".raf", ".rw2"}
SUFFIXES = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tiff", "avif": ".avif"}
# Formats of LR pictures that their results may have too. All hold any RGB picture; GIF, for example, holds 256 colours.
KEPT_FORMATS = {"PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000", "BMP", "PPM", "TGA"}
LIMITED_SUFFIXES = {".pbm", ".pfm"}  # of PPM: black and white only; a variant that Pillow does not write
DEFAULT_QUALITY = 95  # the writers' own default, 75 or 80, would remove fine detail
QUALITY_FORMATS = {"JPEG", "WEBP", "AVIF"}  # those that have a quality
MAX_SIDES = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # in pixels
MAX_TIFF_BYTES = 2**32 - 2**20  # offsets have 32 bits; a megabyte is left for metadata
# Formats whose Pillow writer keeps 16-bit grey, or alpha. The other writers drop it, or write a wrong picture, without
# an error.
GREY16_FORMATS = {"PNG", "TIFF", "JPEG2000", "PPM"}
ALPHA_FORMATS = {"PNG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "TGA"}


def format_of(path: Path) -> str | None:
    """Pillow's name of the format that the suffix of a path stands for, such as JPEG; None if it stands for none."""
    return Image.registered_extensions().get(path.suffix.lower())


def is_picture_name(path: Path) -> bool:
    """Whether a path has the suffix of a picture format, also of one that is neither read nor written."""
    return format_of(path) is not None or path.suffix.lower() in UNKNOWN_SUFFIXES


def can_be_written(name: str | None) -> bool:
    """Whether pictures are written in a format, given by Pillow's name."""
    Image.init()
    return name in Image.SAVE and name not in REFUSED_FORMATS | NOT_WRITTEN_FORMATS


def format_to_write(path: Path) -> str:
    """Pillow's name of the format of a file to write, by its suffix; raises InputError if none is written so."""
    name = format_of(path)
    if not can_be_written(name):
        *suffixes, last = [suffix for suffix in SUFFIXES.values() if can_be_written(format_of(Path(f"a{suffix}")))]
        expected = f"the suffix of a picture format that can be written, such as {', '.join(suffixes)} or {last}"
        raise InputError(f"{path}: expected {expected}, found {path.suffix!r}")
    return name


def check_writable(format_name: str) -> None:
    """Raises InputError if this Pillow was built without the library that writes a format of SUFFIXES."""
    if format_name != "keep" and not can_be_written(format_of(Path(f"a{SUFFIXES[format_name]}"))):
        raise InputError(f"expected a format that this Pillow can write, found {format_name}", "format")


def result_suffix(format_name: str, source: Path) -> str:
    """The suffix of a result in a format of SUFFIXES; for `keep` that of the source if its format is in KEPT_FORMATS.

    Other sources get PNG.
    """
    if format_name != "keep":
        return SUFFIXES[format_name]
    is_kept = format_of(source) in KEPT_FORMATS and source.suffix.lower() not in LIMITED_SUFFIXES
    return source.suffix if is_kept else ".png"


def holds_16_bits(name: str, source: Picture) -> bool:
    """Whether the format `name` holds 16-bit values of a picture with the channels of `source`."""
    return name == "PNG" or (name in GREY16_FORMATS and source.grey and source.alpha is None)


def lost_properties(name: str, source: Picture) -> list[str]:
    """What of a picture the format `name` cannot hold: `transparency`, `16 bits`, `more than 256 colours`."""
    lost = []
    if source.alpha is not None and name not in ALPHA_FORMATS:
        lost.append("transparency")
    if source.pixels.dtype == np.uint16 and not holds_16_bits(name, source):
        lost.append("16 bits")
    if name == "GIF" and not source.grey:
        lost.append("more than 256 colours")
    return lost


def check_size(name: str, width: int, height: int) -> None:
    """Raises InputError if the format `name` cannot hold a picture of this size."""
    if max(width, height) > MAX_SIDES.get(name, width + height):
        raise InputError(f"expected sides of up to {MAX_SIDES[name]} pixels in {name}, found {width}×{height}")
    if name == "TIFF" and width * height * 4 > MAX_TIFF_BYTES:
        raise InputError(f"expected at most {MAX_TIFF_BYTES // 4e6:.0f} megapixels in TIFF, found {width}×{height}")
