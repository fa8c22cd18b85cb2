"""Reads and writes picture files; grey, 16 bits, alpha, ICC profile and EXIF of the input are kept in the result.

Inside the program every picture has three channels, RGB. Pillow reduces RGB of 16 bits, and 16-bit grey with alpha, to
8 bits. For PNG `png16.py` reads and writes all 16 bits; from other formats such pictures are read as 8 bits. Alpha
always has 8 bits.
"""

import io
import os
import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.pictures.picture import Picture, quantise
from srmd.pictures.png16 import encode_16_bit_png, is_16_bit_png, resize_alpha, with_16_bits

ORIENTATION = ExifTags.Base.Orientation
MAX_PIXELS = 2**28  # largest picture that is read; Pillow's own limit would refuse large results of this package
_settings_lock = threading.Lock()
_settings_users = 0  # how many `with pillow_settings()` blocks are running, in all threads
_settings = ExitStack()  # restores what they have changed
# Formats that are never read or written: Pillow renders EPS and WMF with another program; the others are data or video.
REFUSED_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
ICON_FORMATS = {"ICO", "ICNS"}  # never written: their writers shrink a picture that is too large
# Formats whose Pillow writer keeps 16-bit grey, or alpha. The other writers drop it, or write a wrong picture, without
# an error.
GREY16_FORMATS = {"PNG", "TIFF", "JPEG2000", "PPM"}
ALPHA_FORMATS = {"PNG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "TGA"}
SAVE_OPTIONS = {  # the default quality of these lossy formats would remove fine detail
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
}
EXIF_SUB_IFDS = (34665, 34853)  # camera settings (Exif IFD) and position (GPS IFD)
# The tags of a TIFF that describe the picture, such as its artist; the others describe the layout of the file.
TIFF_EXIF_TAGS = (270, 271, 272, 305, 306, 315, 33432, *EXIF_SUB_IFDS)


def read_picture(path: Path) -> Picture:
    """The picture in a file, upright; of an animation the first frame.

    Raises InputError if the file does not exist, is no picture, is damaged, or has more than MAX_PIXELS pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a picture, found {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with open_image(path) as image:
            load_image(image)
            orientation = image.getexif().get(ORIENTATION, 1)
            picture = to_picture(ImageOps.exif_transpose(image))
            return with_16_bits(picture, path, orientation) if is_16_bit_png(path) else picture
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture of a known format") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: expected at most {MAX_PIXELS / 1e6:.0f} megapixels") from error
    except Exception as error:  # a damaged file can raise any exception in Pillow's readers
        raise InputError(f"{path}: a broken picture ({error})") from error


def count_pixels(path: Path) -> int:
    """The number of pixels that the header of a picture file states; 0 if the header cannot be read."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return 0


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Opens a picture file with Pillow, whose settings are those of `pillow_settings` inside the `with` block."""
    with pillow_settings(), Image.open(path, formats=readable_formats()) as image:
        yield image


@contextmanager
def pillow_settings() -> Iterator[None]:
    """Sets what Pillow knows as global variables: its limit of pixels is MAX_PIXELS, and it does not warn.

    A picture of more pixels raises DecompressionBombWarning. Several threads may read pictures at once: the first one
    that enters changes the settings, and the last one that leaves restores them.
    """
    global _settings_users
    with _settings_lock:
        if _settings_users == 0:
            _settings.enter_context(_changed_settings())
        _settings_users += 1
    try:
        yield
    finally:
        with _settings_lock:
            _settings_users -= 1
            if _settings_users == 0:
                _settings.close()


@contextmanager
def _changed_settings() -> Iterator[None]:
    old_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of small defects, but reads the picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = old_limit


def readable_formats() -> list[str]:
    """The names of the formats that Pillow may read: all but REFUSED_FORMATS."""
    Image.init()
    return [name for name in Image.OPEN if name not in REFUSED_FORMATS]


def load_image(image: Image.Image) -> None:
    """Reads pixels and EXIF of an opened picture into memory, and drops EXIF that is damaged."""
    image.load()  # also reads the EXIF that a PNG stores after its pixels
    if image.format == "TIFF":  # Pillow keeps the EXIF of a TIFF among its tags, not in `info`
        image.info["exif"] = _tiff_exif(image)
    elif not _is_valid_exif(image.info.get("exif", b"")):  # damaged EXIF could not be written
        image.info.pop("exif", None)


def _tiff_exif(image: Image.Image) -> bytes:
    tags, exif = image.getexif(), Image.Exif()
    for tag in TIFF_EXIF_TAGS:
        if tag in tags:
            exif[tag] = tags.get_ifd(tag) if tag in EXIF_SUB_IFDS else tags[tag]
    return exif.tobytes() if exif else b""


def _is_valid_exif(data: bytes) -> bool:
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exif.load(data)
            return all(isinstance(exif.get_ifd(tag), dict) for tag in EXIF_SUB_IFDS) and bool(exif.tobytes())
    except Exception:  # damaged EXIF can raise any exception
        return False


def to_picture(image: Image.Image) -> Picture:
    """A Pillow image as a `Picture`. Raises InputError if grey values are not in 0 to 65535."""
    icc, exif = image.info.get("icc_profile"), image.info.get("exif") or None
    if image.mode[0] in "IF":  # grey of more than 8 bits: modes I;16 (in either byte order), I and F
        pixels = _to_uint16(np.asarray(image))
        return Picture(np.repeat(pixels[..., None], 3, axis=2), grey=True, icc=icc, exif=exif)
    if image.mode == "CMYK":
        return Picture(np.asarray(_cmyk_to_rgb(image, icc)), exif=exif)
    has_alpha = image.has_transparency_data
    channels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    pixels, alpha = channels[..., :3], channels[..., 3] if has_alpha else None
    return Picture(pixels, alpha, _is_grey(image.mode, pixels), icc, exif)


def _is_grey(mode: str, pixels: NDArray) -> bool:
    if mode in ("P", "PA"):  # scanned pages are often stored with a palette of greys
        return bool((pixels == pixels[..., :1]).all())
    return mode in ("1", "L", "LA", "La")


def _to_uint16(values: NDArray) -> NDArray[np.uint16]:
    """Grey values (H, W) as uint16. Raises InputError if a value is not in 0 to 65535.

    Integers are not scaled. White among floats is 1, 255 or 65535, the smallest of these that no value exceeds; floats
    are scaled so that white becomes 65535.
    """
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):
        raise InputError(f"expected grey values of 0 to 65535, found {low:g} to {high:g}")
    if values.dtype.kind == "f":
        white = next(value for value in (1, 255, 65535) if high <= value)
        values = np.rint(values * (65535 // white))
    return values.astype(np.uint16)


def _cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK picture converted to sRGB with its ICC profile, or by Pillow's formula if it has no valid profile."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # no profile, or a damaged one
        return image.convert("RGB")


def write_picture(path: Path, picture: NDArray, source: Picture | None = None) -> None:
    """Writes a picture, atomically, in the format of the path's suffix.

    `picture` is (H, W, 3), floats in 0 to 1, which are clipped and rounded, or uint8 or uint16 from `quantise`, which
    are written unchanged. The file gets the properties of `source`, the picture that was restored: grey, 16 bits, alpha
    (resized), ICC profile and EXIF. If the format has no 16 bits, 8 are written; if it has no alpha, the picture is
    composited over white. Raises InputError for a suffix or a size that cannot be written.
    """
    encoded = _encode(Path(path), picture, source or Picture(np.empty((0, 0, 3), np.uint8)))
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(encoded)


def _encode(path: Path, picture: NDArray, source: Picture) -> bytes | memoryview:
    name = Image.registered_extensions().get(path.suffix.lower())
    if name not in Image.SAVE or name in REFUSED_FORMATS | ICON_FORMATS:
        raise InputError(f"{path}: expected a suffix of a picture format, such as .png, found {path.suffix!r}")
    if name == "PNG" and source.pixels.dtype == np.uint16 and (source.alpha is not None or not source.grey):
        pixels = quantise(picture, np.uint16, source.grey) if picture.dtype.kind == "f" else picture
        return encode_16_bit_png(pixels, source)
    metadata = {key: value for key, value in (("icc_profile", source.icc), ("exif", source.exif)) if value}
    buffer = io.BytesIO()
    try:
        to_image(picture, source, name).save(buffer, name, **SAVE_OPTIONS.get(name, {}), **metadata)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {name} can't hold this picture ({error})") from error
    return buffer.getbuffer()


def to_image(picture: NDArray, source: Picture, name: str) -> Image.Image:
    """The Pillow image that `write_picture` saves for its arguments; `name` is Pillow's name of the format."""
    alpha = None if source.alpha is None else resize_alpha(source.alpha, picture)
    if alpha is not None and name not in ALPHA_FORMATS:
        rgb = np.clip(picture, 0, 1) if picture.dtype.kind == "f" else picture / 255
        picture, alpha = over_white(rgb, np.asarray(alpha)), None
    if picture.dtype.kind == "f":
        is_grey16 = source.grey and source.pixels.dtype == np.uint16 and source.alpha is None
        dtype = np.uint16 if is_grey16 and name in GREY16_FORMATS else np.uint8
        picture = quantise(picture, np.dtype(dtype), source.grey)
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def over_white(rgb: NDArray, alpha: NDArray[np.uint8]) -> NDArray:
    """A picture (H, W, C), 0 to 1, composited over white with alpha (H, W), 0 to 255; result: (H, W, C), 0 to 1."""
    opacity = alpha[..., None] / 255
    return rgb * opacity + 1 - opacity


def list_pictures(folder: Path, recursive: bool = False) -> list[Path]:
    """The picture files in a folder, and with `recursive` in its subfolders, in natural order: img2 before img10.

    They are recognised by their suffix. Hidden files and folders are ignored. Raises InputError if there is no such
    folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: expected a folder of pictures, found {found}")
    files = [path for path in _walk(folder, recursive) if path.is_file()]
    readable, suffixes = readable_formats(), Image.registered_extensions()
    pictures = [path for path in files if suffixes.get(path.suffix.lower()) in readable]
    if not pictures:
        suffix_counts = Counter(path.suffix or "without a suffix" for path in files)
        found = ", ".join(f"{count} {suffix}" for suffix, count in suffix_counts.most_common(3))
        where = "inside it or its subfolders" if recursive else "directly inside it"
        raise InputError(f"{folder}: expected pictures {where}, found {found or 'no file'}")
    return sorted(pictures, key=lambda path: [_natural_order(part) for part in path.relative_to(folder).parts])


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    """The files in a folder, and with `recursive` in its subfolders, without hidden ones."""
    for current, subfolders, files in os.walk(folder):
        yield from (Path(current, name) for name in files if not name.startswith("."))
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]


def _natural_order(name: str) -> tuple:
    """A key that sorts numbers in names by their value.

    In the split name text and numbers alternate, so that text is compared with text and numbers with numbers.
    """
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
