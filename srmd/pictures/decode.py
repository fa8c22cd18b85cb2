"""Converts Pillow images of any mode to `Picture`."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.base.errors import InputError
from srmd.pictures.metadata import fitting_profile, to_srgb
from srmd.pictures.picture import Picture, has_equal_channels

CONVERTED_MODES = ("CMYK", "LAB")


def to_picture(image: Image.Image) -> Picture:
    """A Pillow image as a `Picture`; of its metadata only the colour profile.

    Raises InputError if grey values are not in 0 to 65535.
    """
    icc = image.info.get("icc_profile")
    if image.mode[0] in "IF":  # grey of more than 8 bits: modes I;16 (in either byte order), I and F
        return _with_profile(_grey_picture(image), icc)
    if image.mode in CONVERTED_MODES:
        converted, warning = to_srgb(image, icc)
        return Picture(np.asarray(converted), warnings=(warning,) if warning else ())
    if image.mode == "La":  # grey premultiplied by alpha, which Pillow converts to LA only
        image = image.convert("LA")
    has_alpha = image.has_transparency_data
    mode = "RGBA" if has_alpha else "RGB"
    channels = np.asarray(image if image.mode == mode else image.convert(mode))
    pixels, alpha = channels[..., :3], channels[..., 3] if has_alpha else None
    return _with_profile(Picture(pixels, alpha, _is_grey(image.mode, pixels, icc)), icc)


def _with_profile(picture: Picture, icc: bytes | None) -> Picture:
    icc, warning = fitting_profile(icc, picture.grey)
    metadata = replace(picture.metadata, icc=icc)
    return replace(picture, metadata=metadata, warnings=(warning,) if warning else ())


def _is_grey(mode: str, pixels: NDArray, icc: bytes | None) -> bool:
    """Whether a result has one channel: also for a palette of greys, in which scanned pages are often stored.

    If it has a colour profile, however, that is one for RGB.
    """
    if mode in ("P", "PA"):
        return not icc and has_equal_channels(pixels)
    return mode in ("1", "L", "LA")


def _grey_picture(image: Image.Image) -> Picture:
    values = to_uint16(np.asarray(image))
    transparent = image.info.get("transparency")  # the value that a PNG marks as transparent
    alpha = np.where(values == transparent, 0, 65535).astype(np.uint16) if isinstance(transparent, int) else None
    return Picture(np.repeat(values[..., None], 3, axis=2), alpha, grey=True)


def to_uint16(values: NDArray) -> NDArray[np.uint16]:
    """Grey values (H, W) as uint16. Raises InputError if a value is not in 0 to 65535.

    Integers are not scaled; floats are scaled so that their white, see `float_white`, becomes 65535.
    """
    if values.dtype.kind == "f":
        return np.rint(values * (65535 / float_white(values))).astype(np.uint16)
    _check_grey(values)
    return values.astype(np.uint16)


def float_white(values: NDArray) -> int:
    """The value of white among floats: 1, 255 or 65535, the smallest of these that no value exceeds.

    Raises InputError if a value is not in 0 to 65535.
    """
    _check_grey(values)
    return next(value for value in (1, 255, 65535) if values.max() <= value)


def _check_grey(values: NDArray) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):  # also refuses NaN
        raise InputError(f"expected grey values of 0 to 65535, found {low:g} to {high:g}")
