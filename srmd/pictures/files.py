"""Reads and writes picture files; grey, 16 bits, alpha, ICC profile and EXIF of the input are kept in the result.

Inside the program every picture has three channels, RGB. Pillow reduces RGB of 16 bits, and 16-bit grey with alpha, to
8 bits. For PNG `png16.py` reads and writes all 16 bits; from other formats such pictures are read as 8 bits. Alpha
always has 8 bits.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.pictures.formats import ALPHA_FORMATS, DEFAULT_QUALITY, LOSSY_FORMATS, format_of, holds_16_bits
from srmd.pictures.picture import Picture, quantise
from srmd.pictures.png16 import encode_16_bit_png, is_16_bit_png, resize_alpha, with_16_bits

ORIENTATION = ExifTags.Base.Orientation
MAX_PIXELS = 2**28  # largest picture that is read; Pillow's own limit would refuse large results of this package
_limit_lock = threading.RLock()  # Pillow's limit is a global variable, which `open_image` changes
# Formats that are never read or written: Pillow renders EPS and WMF with another program; the others are data or video.
REFUSED_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
ICON_FORMATS = {"ICO", "ICNS"}  # never written: their writers shrink a picture that is too large
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of small defects, but reads the picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                return image.width * image.height
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return 0


def upright_size(path: Path) -> tuple[int, int] | None:
    """Height and width of the picture in a file as `read_picture` would return it; None if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                is_turned = image.getexif().get(ORIENTATION, 1) >= 5  # by 90°
                return (image.width, image.height) if is_turned else (image.height, image.width)
    except Exception:  # any exception, as in `read_picture`, which then reports the error
        return None


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Opens a picture file with Pillow; inside the `with` block Pillow's limit of pixels is MAX_PIXELS."""
    with _limit_lock:
        old_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            with Image.open(path, formats=readable_formats()) as image:
                yield image
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


def write_picture(path: Path, picture: NDArray, source: Picture | None = None, quality: int = DEFAULT_QUALITY) -> None:
    """Writes a picture, atomically, in the format of the path's suffix; arguments and errors as in `encode_picture`."""
    encoded = encode_picture(path, picture, source, quality)
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(encoded)


def encode_picture(
    path: Path, picture: NDArray, source: Picture | None = None, quality: int = DEFAULT_QUALITY
) -> bytes | memoryview:
    """The content of a picture file in the format of the path's suffix.

    `picture` is (H, W, 3), floats in 0 to 1, which are clipped and rounded, or uint8 or uint16 from `quantise`. The
    file gets the properties of `source`, the picture that was restored: grey, 16 bits, alpha (resized), ICC profile and
    EXIF. If the format has no 16 bits, 8 are written; if it has no alpha, the picture is composited over white.
    `quality`, 1 to 100, is for LOSSY_FORMATS. Raises InputError for a suffix or a size that cannot be written.
    """
    path, source = Path(path), source or Picture(np.empty((0, 0, 3), np.uint8))
    name = format_of(path)
    if name not in Image.SAVE or name in REFUSED_FORMATS | ICON_FORMATS:
        raise InputError(f"{path}: expected a suffix of a picture format, such as .png, found {path.suffix!r}")
    if name == "PNG" and source.pixels.dtype == np.uint16 and (source.alpha is not None or not source.grey):
        pixels = quantise(picture, np.uint16, source.grey) if picture.dtype.kind == "f" else picture
        return encode_16_bit_png(pixels, source)
    options = {key: value for key, value in (("icc_profile", source.icc), ("exif", source.exif)) if value}
    if name in LOSSY_FORMATS:
        options["quality"] = quality
    if name == "JPEG":
        options["subsampling"] = 0  # the writer's default would halve the resolution of colours
    buffer = io.BytesIO()
    try:
        to_image(picture, source, name).save(buffer, name, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {name} can't hold this picture ({error})") from error
    return buffer.getbuffer()


def to_image(picture: NDArray, source: Picture, name: str) -> Image.Image:
    """The Pillow image that `write_picture` saves for its arguments; `name` is Pillow's name of the format."""
    if picture.dtype == np.uint16 and not holds_16_bits(name, source):
        picture = ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)  # the nearest of 256 levels
    alpha = None if source.alpha is None else resize_alpha(source.alpha, picture)
    if alpha is not None and name not in ALPHA_FORMATS:
        rgb = np.clip(picture, 0, 1) if picture.dtype.kind == "f" else picture / 255
        picture, alpha = over_white(rgb, np.asarray(alpha)), None
    if picture.dtype.kind == "f":
        is_16_bit = source.pixels.dtype == np.uint16 and holds_16_bits(name, source)
        picture = quantise(picture, np.dtype(np.uint16 if is_16_bit else np.uint8), source.grey)
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def over_white(rgb: NDArray, alpha: NDArray[np.uint8]) -> NDArray:
    """A picture (H, W, C), 0 to 1, composited over white with alpha (H, W), 0 to 255; result: (H, W, C), 0 to 1."""
    opacity = alpha[..., None] / 255
    return rgb * opacity + 1 - opacity
