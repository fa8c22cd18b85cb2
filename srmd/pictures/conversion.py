"""Pictures as programs hold them, NumPy arrays, tensors and PIL pictures, to arrays of one form and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.base.errors import InputError, prefix_errors
from srmd.pictures.files import to_image, to_picture
from srmd.pictures.picture import quantise

MAX_VALUE = 4.0  # of floats: an LR picture with noise that was not clipped goes beyond 1, one of 0 to 255 far beyond


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a picture of any kind, and how a result becomes a picture of that kind.

    `rgb` is (H, W, 3), uint8, uint16 or floats, of a grey picture three equal channels; `alpha` is (H, W) in 0 to 1.
    `convert_back` takes a result, as `values` makes it, and its alpha.
    """

    rgb: NDArray
    alpha: NDArray[np.float64] | None
    grey: bool
    convert_back: Callable[[NDArray, NDArray | None], Any]

    def empty_result(self, scale: int) -> NDArray:
        """An array for the `values` of a result that is `scale` times as large."""
        height, width, _ = self.rgb.shape
        return np.empty((scale * height, scale * width, 1 if self.grey else 3), self.rgb.dtype)

    def to_dtype(self, rgb: NDArray) -> NDArray:
        """Floats (h, w, 3) in the picture's own type, whole numbers clipped and rounded; (h, w, 1) if it is grey."""
        if self.rgb.dtype.kind == "u":
            return quantise(rgb, self.rgb.dtype, self.grey)
        return (rgb.mean(2, keepdims=True) if self.grey else rgb).astype(self.rgb.dtype)


def to_pixels(picture: Any) -> Pixels:
    """The pixels of a PIL picture, or of an array or tensor.

    Arrays are H×W, H×W×3 or H×W×4 (with alpha); tensors H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels. They hold uint8,
    uint16 or floats in 0 to 1. Raises InputError for anything else.
    """
    if isinstance(picture, Image.Image):
        with prefix_errors("picture"):
            return _from_pil(picture)
    if isinstance(picture, np.ndarray) and not isinstance(picture, np.ma.MaskedArray):
        return _from_array(np.asarray(picture))  # without what a subclass does otherwise, as np.matrix
    if type(picture).__module__.partition(".")[0] == "torch":
        return _from_tensor(picture)
    raise InputError(f"expected a NumPy array, a tensor or a PIL picture, found {type(picture).__name__}", "picture")


def _from_pil(image: Image.Image) -> Pixels:
    if 0 in image.size:
        raise InputError(f"expected pixels, found {image.width}×{image.height}")
    picture = to_picture(image)
    alpha = None if picture.alpha is None else picture.alpha / 255

    def convert_back(values: NDArray, _alpha: NDArray | None) -> Image.Image:
        result = to_image(values, picture, "PNG")  # which resizes the picture's alpha by itself
        result.info |= {key: image.info[key] for key in ("icc_profile", "exif") if image.info.get(key)}
        return result

    return Pixels(picture.pixels, alpha, picture.grey, convert_back)


def _from_array(array: NDArray) -> Pixels:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = "×".join(map(str, array.shape)) or "a single number"
        raise InputError(f"expected an array H×W, H×W×3 or H×W×4, found {shape}", "picture")
    _check_values(array)
    grey, dtype = array.ndim == 2, array.dtype
    most = np.iinfo(dtype).max if dtype.kind == "u" else 1
    rgb = np.repeat(array[..., None], 3, 2) if grey else array[..., :3]
    alpha = array[..., 3].astype(np.float64) / most if array.ndim == 3 and array.shape[2] == 4 else None

    def convert_back(values: NDArray, alpha: NDArray | None) -> NDArray:
        if alpha is not None:
            levels = quantise(alpha, dtype) if dtype.kind == "u" else alpha.astype(dtype)
            return np.dstack([values, levels])
        return values[..., 0] if grey else values

    return Pixels(rgb, alpha, grey, convert_back)


def _check_values(array: NDArray) -> None:
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"expected uint8, uint16 or floats in 0 to 1, found {array.dtype}", "picture")
    if array.dtype.kind == "f" and not np.abs(array).max() <= MAX_VALUE:  # NaN neither
        raise InputError(f"expected floats in 0 to 1, found {array.min():g} to {array.max():g}", "picture")


def _from_tensor(tensor: Any) -> Pixels:
    import torch

    shape = tuple(tensor.shape)
    channels = shape[-3] if len(shape) > 2 else 1
    if 0 in shape or len(shape) not in (2, 3, 4) or channels not in (1, 3, 4) or (len(shape) == 4 and shape[0] != 1):
        found = "×".join(map(str, shape)) or "a single number"
        raise InputError(f"expected a tensor H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels, found {found}", "picture")
    array = tensor.detach().cpu().resolve_neg()
    array = (array.float() if array.dtype == torch.bfloat16 else array).numpy().reshape(-1, *shape[-2:])
    pixels = _from_array(array[0] if channels == 1 else array.transpose(1, 2, 0))

    def convert_back(values: NDArray, alpha: NDArray | None) -> Any:
        values = pixels.convert_back(values, alpha)
        values = torch.from_numpy(np.ascontiguousarray(values if channels == 1 else values.transpose(2, 0, 1)))
        return values.reshape(*shape[:-2], *values.shape[-2:]).to(tensor.device, tensor.dtype)

    return Pixels(pixels.rgb, pixels.alpha, pixels.grey, convert_back)
