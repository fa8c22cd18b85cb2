"""Converts arrays, tensors and PIL pictures to arrays of one layout, and results back to the type of the input."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.base.errors import InputError, prefix_errors
from srmd.pictures.decode import float_white, to_picture
from srmd.pictures.files import to_image
from srmd.pictures.metadata import fit_metadata, has_damaged_exif, read_metadata
from srmd.pictures.picture import quantise

logger = logging.getLogger("srmd")

MAX_ABSOLUTE = 4.0  # larger floats are refused: they probably range from 0 to 255, not to 1 with unclipped noise


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a picture, and a function that converts a result to the type of this picture.

    `rgb` is (H, W, 3), uint8, uint16 or floats; a picture of one channel is repeated in three, and `grey` is true.
    `alpha` is (H, W) in 0 to 1. `convert_back` takes a result (h, w, 3), or (h, w, 1) if its channels are equal, in the
    dtype of `rgb`, and its alpha, (h, w) in 0 to 1 or None. It returns an array, a tensor or a PIL picture, as the
    input was.
    """

    rgb: NDArray
    alpha: NDArray[np.float64] | None
    grey: bool
    convert_back: Callable[[NDArray, NDArray | None], Any]

    def to_dtype(self, rgb: NDArray, one_channel: bool) -> NDArray:
        """A result (h, w, 3), floats in 0 to 1, in the dtype of this picture; if `one_channel`, its mean, (h, w, 1).

        For uint8 and uint16 it is clipped, scaled and rounded.
        """
        if self.rgb.dtype.kind == "u":
            return quantise(rgb, self.rgb.dtype, one_channel)
        if one_channel:
            rgb = rgb.mean(2, keepdims=True)
        return rgb.astype(self.rgb.dtype)


def to_pixels(picture: Any) -> Pixels:
    """The pixels of a PIL picture, a NumPy array or a tensor.

    Arrays are H×W, H×W×3 or, with alpha, H×W×4; tensors are H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels. Both hold
    uint8, uint16 or floats in 0 to 1. Raises InputError for anything else.
    """
    if isinstance(picture, Image.Image):
        with prefix_errors("picture"):
            return _from_pil(picture)
    if isinstance(picture, np.ndarray) and not isinstance(picture, np.ma.MaskedArray):
        return _from_array(np.asarray(picture))  # a plain array: subclasses such as np.matrix have other operators
    if type(picture).__module__.partition(".")[0] == "torch":
        return _from_tensor(picture)
    raise InputError(f"expected a NumPy array, a tensor or a PIL picture, found {type(picture).__name__}", "picture")


def _from_pil(image: Image.Image) -> Pixels:
    if 0 in image.size:
        raise InputError(f"expected pixels, found {image.width}×{image.height}")
    try:
        image.load()
    except Exception as error:  # a damaged file can raise any exception in Pillow's readers
        raise InputError(f"expected a picture that can be read, found a broken one ({error})", "picture") from error
    if image.mode == "F":
        return _from_pil_floats(image)
    picture = to_picture(image)
    for warning in picture.warnings:
        logger.warning("picture: %s", warning)
    alpha = None if picture.alpha is None else picture.alpha / np.iinfo(picture.alpha.dtype).max

    def convert_back(values: NDArray, alpha: NDArray | None) -> Image.Image:
        alpha = None if alpha is None else quantise(alpha, np.dtype(np.uint8))
        if image.mode == "I" and alpha is None:
            result = Image.fromarray(values[..., 0].astype(np.int32))
        else:
            result = to_image(values, picture, alpha, "PNG")
        return _with_info(result, image, picture.metadata.icc)

    return Pixels(picture.pixels, alpha, picture.grey, convert_back)


def _from_pil_floats(image: Image.Image) -> Pixels:
    """The pixels of a PIL picture of mode F; `float_white` says what its white is."""
    values = np.asarray(image)
    white = float_white(values)

    def convert_back(values: NDArray, _alpha: NDArray | None) -> Image.Image:
        return _with_info(Image.fromarray(values[..., 0] * np.float32(white)), image, None)

    return Pixels(np.repeat(values[..., None] / np.float32(white), 3, 2), None, True, convert_back)


def _with_info(result: Image.Image, source: Image.Image, icc: bytes | None) -> Image.Image:
    """The result with the metadata of its source in `info`; with `icc` as colour profile."""
    if has_damaged_exif(source):
        source = source.copy()  # the source is the caller's
        del source.info["exif"]
    metadata = fit_metadata(read_metadata(source), result.width, result.height)
    info = {"icc_profile": icc, "exif": metadata.exif, "xmp": metadata.xmp, "dpi": metadata.dpi}
    info |= {key: source.info.get(key) for key in ("gamma", "chromaticity", "srgb")}
    result.info |= {key: value for key, value in info.items() if value is not None}
    return result


def _from_array(array: NDArray) -> Pixels:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = "×".join(map(str, array.shape)) or "a single number"
        raise InputError(f"expected an array H×W, H×W×3 or H×W×4, found {shape}", "picture")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # that of the processor, which torch needs
    _check_values(array)
    grey, dtype = array.ndim == 2, array.dtype
    rgb = np.repeat(array[..., None], 3, 2) if grey else array[..., :3]
    alpha = None
    if not grey and array.shape[2] == 4:
        white = np.iinfo(dtype).max if dtype.kind == "u" else 1
        alpha = array[..., 3].astype(np.float64) / white

    def convert_back(values: NDArray, alpha: NDArray | None) -> NDArray:
        if alpha is not None:
            alpha = quantise(alpha, dtype) if dtype.kind == "u" else alpha.astype(dtype)
        if grey:
            return values[..., 0]
        if values.shape[2] == 1:
            values = np.repeat(values, 3, axis=2)
        return values if alpha is None else np.dstack([values, alpha])

    return Pixels(rgb, alpha, grey, convert_back)


def _check_values(array: NDArray) -> None:
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"expected uint8, uint16 or floats in 0 to 1, found {array.dtype}", "picture")
    if array.dtype.kind == "f" and not np.abs(array).max() <= MAX_ABSOLUTE:  # also refuses NaN
        raise InputError(f"expected floats in 0 to 1, found {array.min():g} to {array.max():g}", "picture")


def _from_tensor(tensor: Any) -> Pixels:
    import torch

    shape = tuple(tensor.shape)
    channels = shape[-3] if len(shape) > 2 else 1
    if 0 in shape or len(shape) not in (2, 3, 4) or channels not in (1, 3, 4) or (len(shape) == 4 and shape[0] != 1):
        found = "×".join(map(str, shape)) or "a single number"
        raise InputError(f"expected a tensor H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels, found {found}", "picture")
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        found = "one without values" if tensor.device.type == "meta" else str(tensor.layout)
        raise InputError(f"expected a dense tensor with values, found {found}", "picture")
    array = tensor.detach().cpu().resolve_neg()
    try:
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    except TypeError as error:  # NumPy has no such type
        expected = "expected a tensor of uint8, uint16 or floats"
        raise InputError(f"{expected}, found {tensor.dtype}", "picture") from error
    array = array.reshape(-1, *shape[-2:])
    pixels = _from_array(array[0] if channels == 1 else array.transpose(1, 2, 0))

    def convert_back(values: NDArray, alpha: NDArray | None) -> Any:
        values = pixels.convert_back(values, alpha)
        values = torch.from_numpy(np.ascontiguousarray(values if channels == 1 else values.transpose(2, 0, 1)))
        return values.reshape(*shape[:-2], *values.shape[-2:]).to(tensor.device, tensor.dtype)

    return Pixels(pixels.rgb, pixels.alpha, pixels.grey, convert_back)
