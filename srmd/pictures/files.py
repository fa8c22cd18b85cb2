"""Picture files in and out, keeping what came in: greyness, 16 bits, transparency, colour profile, EXIF.

Inside the program a picture is RGB. Pillow cuts colours of 16 bits, and grey with transparency, to 8: in PNG they are
read and written past it, in other formats they come as 8. Transparency has 8.
"""

import io
import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.pictures.picture import Picture, quantise
from srmd.pictures.png16 import encode_16_bit_png, is_16_bit_png, resize_alpha, with_16_bits

ORIENTATION = ExifTags.Base.Orientation
MAX_PIXELS = 2**28  # of a picture that is read: Pillow's own limit refuses large results of this very package
_limit_lock = threading.RLock()
NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # programs for another program to run, data, films
ICONS = {"ICO", "ICNS"}  # these shrink what doesn't fit
# What Pillow's writers really keep: others drop it, or spoil the picture, without a word.
DEEP = {"PNG", "TIFF", "JPEG2000", "PPM"}  # 16-bit grey
TRANSPARENT = {"PNG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "TGA"}
QUALITY = {  # these formats lose detail by default, which is what people come here to gain
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
}
# Of a TIFF's tags only these describe the picture; the others say how that very file is laid out.
SUB_IFDS = (34665, 34853)  # of the camera's settings, of the place
TIFF_EXIF_TAGS = (270, 271, 272, 305, 306, 315, 33432, *SUB_IFDS)


def read_picture(path: Path) -> Picture:
    """The picture of a file, of an animation the first frame.

    Raises InputError where there is no such file, or where it is no picture, a broken one or one too large.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a picture, found {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of oddities that it then reads well
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
    except Exception as error:  # a broken file can fail in any way inside Pillow's many readers
        raise InputError(f"{path}: a broken picture ({error})") from error


def count_pixels(path: Path) -> int:
    """How many pixels the head of a picture file says it has; 0 where it can't be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                return image.width * image.height
    except Exception:  # as in `read_picture`, which will name what is wrong
        return 0


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Opens a picture file by Pillow, which is given our own limit of pixels while it reads."""
    with _limit_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            with Image.open(path, formats=readable_formats()) as image:
                yield image
        finally:
            Image.MAX_IMAGE_PIXELS = before


def readable_formats() -> list[str]:
    """What Pillow may read by itself: no format that starts another program."""
    Image.init()
    return [name for name in Image.OPEN if name not in NOT_PICTURES]


def load_image(image: Image.Image) -> None:
    """Reads it all, for a PNG may hold EXIF behind the pixels; EXIF that is broken is left behind."""
    image.load()
    if image.format == "TIFF":  # its EXIF lies among its tags
        image.info["exif"] = _tiff_exif(image)
    elif not _readable_exif(image.info.get("exif", b"")):  # no reason to refuse the picture, now or when writing it
        image.info.pop("exif", None)


def _tiff_exif(image: Image.Image) -> bytes:
    exif, kept = image.getexif(), Image.Exif()
    for tag in TIFF_EXIF_TAGS:
        if tag in exif:
            kept[tag] = exif.get_ifd(tag) if tag in SUB_IFDS else exif[tag]
    return kept.tobytes() if kept else b""


def _readable_exif(data: bytes) -> bool:
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exif.load(data)
            return all(isinstance(exif.get_ifd(tag), dict) for tag in SUB_IFDS) and bool(exif.tobytes())
    except Exception:  # broken EXIF, too, can fail in any way
        return False


def to_picture(image: Image.Image) -> Picture:
    """What a Pillow picture holds; InputError where its values can't be told."""
    icc, exif = image.info.get("icc_profile"), image.info.get("exif") or None
    if image.mode[0] in "IF":  # I;16 in its byte orders, I, F
        pixels = _sixteen_bits(np.asarray(image))
        return Picture(np.repeat(pixels[..., None], 3, axis=2), grey=True, icc=icc, exif=exif)
    if image.mode == "CMYK":
        return Picture(np.asarray(_cmyk_to_rgb(image, icc)), exif=exif)
    pixels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    pixels, alpha = pixels[..., :3], (pixels[..., 3] if image.has_transparency_data else None)
    return Picture(pixels, alpha, _came_as_grey(image.mode, pixels), icc, exif)


def _came_as_grey(mode: str, pixels: NDArray) -> bool:
    if mode in ("P", "PA"):  # a palette of greys, as shrunk scans have it
        return bool((pixels == pixels[..., :1]).all())
    return mode in ("1", "L", "LA", "La")


def _sixteen_bits(values: NDArray) -> NDArray[np.uint16]:
    """Grey values of unknown range: whole numbers are 16-bit; floats end at 1, 255 or 65535, the first that fits."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):
        raise InputError(f"expected grey values of 0 to 65535, found {low:g} to {high:g}")
    if values.dtype.kind == "f":
        values = np.rint(values * (65535 if high <= 1 else 257 if high <= 255 else 1))
    return values.astype(np.uint16)


def _cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """By the picture's own profile, which then is used up: it would be wrong for the RGB picture."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # none, or a broken one
        return image.convert("RGB")


def write_picture(path: Path, picture: NDArray, like: Picture | None = None) -> None:
    """Writes a picture in the format of the path's suffix; whole or not at all.

    `picture` is (H, W, 3) in 0 to 1, which is clipped and rounded, or levels as `quantise` gives them, which are
    written as they are. What `like` came with is put back: greyness, 16 bits, alpha (resized), profile and EXIF. What
    the format can't hold is left out: 16 bits become 8, and a transparent picture lies on white. Raises InputError for
    a suffix that can't be written.
    """
    encoded = _encode(Path(path), picture, like or Picture(np.empty((0, 0, 3), np.uint8)))
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(encoded)


def _encode(path: Path, picture: NDArray, like: Picture) -> bytes | memoryview:
    name = Image.registered_extensions().get(path.suffix.lower())
    if name not in Image.SAVE or name in NOT_PICTURES | ICONS:
        raise InputError(f"{path}: expected a suffix of a picture format, such as .png, found {path.suffix!r}")
    if name == "PNG" and like.pixels.dtype == np.uint16 and (like.alpha is not None or not like.grey):
        levels = quantise(picture, np.uint16, like.grey) if picture.dtype.kind == "f" else picture
        return encode_16_bit_png(levels, like)
    kept = {key: value for key, value in (("icc_profile", like.icc), ("exif", like.exif)) if value}
    buffer = io.BytesIO()
    try:
        to_image(picture, like, name).save(buffer, name, **QUALITY.get(name, {}), **kept)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {name} can't hold this picture ({error})") from error
    return buffer.getbuffer()


def to_image(picture: NDArray, like: Picture, name: str) -> Image.Image:
    """The Pillow picture that `write_picture` encodes, in the format of that name."""
    alpha = None if like.alpha is None else resize_alpha(like.alpha, picture)
    if alpha is not None and name not in TRANSPARENT:
        opaque = np.clip(picture, 0, 1) if picture.dtype.kind == "f" else picture / 255
        picture, alpha = over_white(opaque, np.asarray(alpha)), None
    if picture.dtype.kind == "f":
        deep = like.grey and like.pixels.dtype == np.uint16 and like.alpha is None and name in DEEP
        picture = quantise(picture, np.dtype(np.uint16 if deep else np.uint8), like.grey)
    image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def over_white(rgb: NDArray, alpha: NDArray[np.uint8]) -> NDArray:
    """A transparent picture, (H, W, C) in 0 to 1, as it looks on a white page."""
    opacity = alpha[..., None] / 255
    return rgb * opacity + 1 - opacity


def list_pictures(folder: Path) -> list[Path]:
    """The picture files right inside a folder, told by their suffix, in natural order; hidden ones are left out.

    Raises InputError where there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: expected a folder of pictures, found {found}")
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    readable, suffixes = readable_formats(), Image.registered_extensions()
    pictures = [path for path in files if suffixes.get(path.suffix.lower()) in readable]
    if not pictures:
        kinds = Counter(path.suffix or "without a suffix" for path in files)
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3))
        raise InputError(f"{folder}: expected pictures right inside it, found {found or 'no file'}")
    return sorted(pictures, key=_natural_order)


def _natural_order(path: Path) -> tuple:
    """img2 before img10; text and numbers alternate, so that each is compared with its like."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], path.name
