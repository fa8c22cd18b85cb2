"""Metadata of picture files: what is read with a picture, and how it is changed to fit the result."""

import io
import math
import re
from contextlib import suppress
from dataclasses import replace

from PIL import ExifTags, Image, ImageCms

from srmd.pictures.iptc import IPTC_TAG, iptc_segment, read_iptc
from srmd.pictures.picture import Metadata
from srmd.pictures.pillow import count_warnings, pillow_settings
from srmd.pictures.png_colours import describes_other_colours, profile_of_chunks

RESOLUTION_TAG = ExifTags.Base.XResolution
EXIF_IFD = ExifTags.IFD.Exif
EXIF_SUB_IFDS = (EXIF_IFD, ExifTags.IFD.GPSInfo)  # camera settings and position
# The tags of a TIFF that describe the picture, such as its artist; the others describe the layout of the file.
TIFF_EXIF_TAGS = (270, 271, 272, 305, 306, 315, 33432, *EXIF_SUB_IFDS)
# Formats whose files have a first picture and others, not layers.
FORMATS_OF_ONE_PICTURE = {"PSD", "ICO", "ICNS"}
ICC_FORMATS = {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"}  # formats in which Pillow writes a colour profile
ICC_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")  # the profiles of devices and colour spaces
MAX_JPEG_SEGMENT = 65_500  # bytes of EXIF, XMP, IPTC or a comment that a JPEG can hold
XMP_TAG = 700  # of TIFF
COMMENT_FORMATS = {"JPEG", "GIF", "JPEG2000"}  # formats in which Pillow writes a comment
COMMENTED_FORMATS = {*COMMENT_FORMATS, "MPO"}
# The width and the height that an XMP packet states, as attributes or as elements.
XMP_WIDTH = re.compile(rb"((?:exif:PixelXDimension|tiff:ImageWidth)(?:=[\"']|>))\d+")
XMP_HEIGHT = re.compile(rb"((?:exif:PixelYDimension|tiff:ImageLength)(?:=[\"']|>))\d+")


def load_image(image: Image.Image) -> None:
    """Reads pixels and EXIF of an opened picture into memory, and drops EXIF that is damaged."""
    image.load()  # also reads the EXIF that a PNG stores after its pixels
    if image.format == "TIFF":  # Pillow keeps the EXIF of a TIFF among its tags, not in `info`
        image.info["exif"] = _tiff_exif(image)
    _drop_damaged_exif(image)


def _drop_damaged_exif(image: Image.Image) -> None:
    if image.format != "TIFF" and has_damaged_exif(image):
        image.info.pop("exif", None)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an opened picture file, 1 to 8; 1 if it states none, or another value."""
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # it may come after the pixels
    _drop_damaged_exif(image)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)  # of EXIF, or else of XMP
    return orientation if orientation in range(1, 9) else 1  # as in Pillow's `exif_transpose`


def _tiff_exif(image: Image.Image) -> bytes:
    tags, exif = image.getexif(), Image.Exif()
    for tag in TIFF_EXIF_TAGS:
        if tag in tags:
            exif[tag] = tags.get_ifd(tag) if tag in EXIF_SUB_IFDS else tags[tag]
    return exif.tobytes() if exif else b""


def has_damaged_exif(image: Image.Image) -> bool:
    """Whether EXIF is stored with a picture that cannot be read, or not be written again."""
    data, exif = image.info.get("exif", b""), Image.Exif()
    try:
        with pillow_settings():
            earlier_warnings = count_warnings()
            exif.load(data)
            has_ifds = all(isinstance(exif.get_ifd(tag), dict) for tag in EXIF_SUB_IFDS)
            return not (has_ifds and exif.tobytes() and count_warnings() == earlier_warnings)
    except Exception:  # damaged EXIF can raise any exception
        return True


def has_several_pictures(image: Image.Image) -> bool:
    """Whether an opened picture file has several frames or pages; False if the second can't be read.

    They are not counted: a TIFF of 10 MB can have 87,000 pages, which takes a minute.
    """
    if image.format in FORMATS_OF_ONE_PICTURE:
        return False
    try:
        return getattr(image, "is_animated", False)
    except Exception:  # a file that is damaged behind its first picture can raise any exception
        return False


def read_metadata(image: Image.Image) -> Metadata:
    """The metadata of a loaded picture without the colour profile, which `fitting_profile` checks."""
    exif = image.info.get("exif")
    if not exif and "Raw profile type exif" in image.info:  # ImageMagick wrote it so before PNG had the chunk eXIf
        with suppress(Exception):  # damaged EXIF can raise any exception
            exif = image.getexif().tobytes()
    xmp = image.info.get("xmp")
    comment = image.info.get("comment")
    return Metadata(
        exif=exif or None,
        xmp=xmp if isinstance(xmp, bytes) else None,
        iptc=read_iptc(image),
        comment=comment if isinstance(comment, bytes) and image.format in COMMENTED_FORMATS else None,
        dpi=_dpi(image),
    )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """The resolution that the file states; Pillow makes one up for a JPEG with EXIF and for a TIFF without it."""
    if image.format == "TIFF" and RESOLUTION_TAG not in image.getexif():
        return None
    if image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit") and RESOLUTION_TAG not in image.getexif():
        return None
    try:
        x, y = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # none, or one that is damaged
        return None
    return (x, y) if min(x, y) >= 1 and math.isfinite(x + y) and max(x, y) < 1e6 else None


def fitting_profile(icc: bytes | None, grey: bool) -> tuple[bytes | None, str | None]:
    """The colour profile if it is one for grey or for RGB pictures, as `grey` says; else None and a warning."""
    if not icc:
        return None, None
    try:
        with pillow_settings():
            ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ImageCms.PyCMSError):
        return None, "its colour profile is damaged and was left out"
    profile_class, colour_space = icc[12:16], icc[16:20]
    if profile_class in ICC_CLASSES and colour_space == (b"GRAY" if grey else b"RGB "):
        return icc, None
    found = colour_space.decode("latin-1").strip()
    return None, f"its colour profile is for {found}, not for {'grey' if grey else 'RGB'} pixels, and was left out"


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str | None]:
    """A CMYK or Lab picture converted to sRGB, and a warning if the conversion is approximate.

    CMYK is converted with its colour profile, or by Pillow's formula if it has no valid one. Lab needs no profile.
    """
    if image.mode == "LAB":
        return image.convert("RGB"), None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"), None
    except (OSError, ImageCms.PyCMSError):  # no profile, or a damaged one, or one for other pictures
        return image.convert("RGB"), "it is CMYK without a valid colour profile: its colours are approximate"


def fit_metadata(metadata: Metadata, width: int, height: int) -> Metadata:
    """The metadata of a result of this size: EXIF and XMP state the new size, and EXIF has no thumbnail."""
    exif, xmp = metadata.exif, metadata.xmp
    if exif:
        exif = _resized_exif(exif, width, height)
    if xmp:
        xmp = XMP_WIDTH.sub(rb"\g<1>%d" % width, xmp)
        xmp = XMP_HEIGHT.sub(rb"\g<1>%d" % height, xmp)
    return replace(metadata, exif=exif, xmp=xmp)


def _resized_exif(data: bytes, width: int, height: int) -> bytes:
    exif = Image.Exif()
    exif.load(data)
    camera = exif.get_ifd(EXIF_IFD)
    sizes = {
        ExifTags.Base.ImageWidth: width,
        ExifTags.Base.ImageLength: height,
        ExifTags.Base.ExifImageWidth: width,
        ExifTags.Base.ExifImageHeight: height,
    }
    for tags in (exif, camera):
        tags.update({tag: size for tag, size in sizes.items() if tag in tags})
    if camera:
        exif[EXIF_IFD] = camera
    return exif.tobytes()  # Pillow writes no thumbnail


def save_options(metadata: Metadata, name: str, grey: bool) -> tuple[dict, list[str]]:
    """The options with which Pillow's writer of a format, not PNG, saves the metadata, and warnings of what it can't.

    `name` is Pillow's name of the format; `grey` says that the file has one colour channel.
    """
    icc, lost = _profile_to_save(metadata, name, grey)
    metadata, too_long = _without_long_data(metadata) if name == "JPEG" else (metadata, [])
    options = {"icc_profile": icc, "exif": metadata.exif, "dpi": metadata.dpi}
    if name == "TIFF":
        tags = {XMP_TAG: metadata.xmp, IPTC_TAG: metadata.iptc}
        options["tiffinfo"] = {tag: data for tag, data in tags.items() if data}
    else:
        options["xmp"] = metadata.xmp
    if name == "JPEG" and metadata.iptc:
        options["extra"] = iptc_segment(metadata.iptc)
    if name in COMMENT_FORMATS:
        options["comment"] = metadata.comment
    return {key: value for key, value in options.items() if value}, lost + too_long


def _profile_to_save(metadata: Metadata, name: str, grey: bool) -> tuple[bytes | None, list[str]]:
    """The colour profile of a file, not PNG, made from the chunks of a PNG if there is none; and warnings."""
    icc, chunks = metadata.icc, dict(metadata.png_chunks)
    if icc and name in ICC_FORMATS:
        icc, warning = fitting_profile(icc, grey)
        return icc, [warning] if warning else []
    if icc:
        return None, [f"{name} can't hold its colour profile: its colours may look different"]
    if not describes_other_colours(chunks):
        return None, []
    icc = profile_of_chunks(chunks, grey) if name in ICC_FORMATS else None
    warning = f"{name} can't hold how its PNG chunks describe colours: they may look different"
    return icc, [] if icc else [warning]


def _without_long_data(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata that a JPEG can hold, and warnings of what is too long for it."""
    names = {"exif": "EXIF data", "xmp": "XMP data", "iptc": "IPTC data", "comment": "comment"}
    sizes = {key: len(getattr(metadata, key) or b"") for key in names}
    too_long = [key for key, size in sizes.items() if size > MAX_JPEG_SEGMENT]
    warnings = [f"its {names[key]} of {sizes[key]} bytes is too long for JPEG" for key in too_long]
    return replace(metadata, **dict.fromkeys(too_long)), warnings
