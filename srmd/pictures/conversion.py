"""Pictures as programs hold them, NumPy arrays, tensors and PIL pictures, to arrays of one form and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srmd.base.errors import InputError
from srmd.pictures.files import to_image, to_picture
from srmd.pictures.picture import to_levels

MAX_VALUE = 4.0  # of floats: an LR picture with noise that was not clipped goes beyond 1, one of 0 to 255 far beyond


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a picture of any kind, and how a result becomes a picture of that kind.

    `rgb` is (H, W, 3), uint8, uint16 or floats, of a grey picture three equal channels; `alpha` is (H, W) in 0 to 1.
    `to_kind` takes a result, floats (h, w, 3), and its alpha; it clips and rounds where the kind has whole numbers.
    """

    rgb: NDArray
    alpha: NDArray[np.float64] | None
    grey: bool
    to_kind: Callable[[NDArray, NDArray | None], Any]


def to_pixels(picture: Any) -> Pixels:
    """The pixels of a PIL picture, or of an array or tensor.

    Arrays are H×W, H×W×3 or H×W×4 (with alpha); tensors H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels. They hold uint8,
    uint16 or floats in 0 to 1. Raises InputError for anything else.
    """
    if isinstance(picture, Image.Image):
        return _from_pil(picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if type(picture).__module__.partition(".")[0] == "torch":
        return _from_tensor(picture)
    raise InputError(f"expected a NumPy array, a tensor or a PIL picture, found {type(picture).__name__}", "picture")


def as_floats(pixels: NDArray) -> NDArray[np.float64]:
    """Whole numbers as floats in 0 to 1; floats as they are."""
    return pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels.astype(np.float64)


def _from_pil(image: Image.Image) -> Pixels:
    picture = to_picture(image)
    alpha = None if picture.alpha is None else picture.alpha / 255

    def to_kind(rgb: NDArray, _alpha: NDArray | None) -> Image.Image:
        return to_image(rgb, picture, "PNG")  # which enlarges its alpha by itself

    return Pixels(picture.pixels, alpha, picture.grey, to_kind)


def _from_array(array: NDArray) -> Pixels:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        shape = "×".join(map(str, array.shape)) or "a single number"
        raise InputError(f"expected an array H×W, H×W×3 or H×W×4, found {shape}", "picture")
    _check_values(array)
    grey, dtype = array.ndim == 2, array.dtype
    most = np.iinfo(dtype).max if dtype.kind == "u" else 1
    rgb = np.repeat(array[..., None], 3, 2) if grey else array[..., :3]
    alpha = array[..., 3].astype(np.float64) / most if array.ndim == 3 and array.shape[2] == 4 else None

    def to_kind(rgb: NDArray, alpha: NDArray | None) -> NDArray:
        values = rgb.mean(2) if grey else rgb
        if alpha is not None:
            values = np.dstack([values, alpha])
        return to_levels(values, dtype) if dtype.kind == "u" else values.astype(dtype)

    return Pixels(rgb, alpha, grey, to_kind)


def _check_values(array: NDArray) -> None:
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise InputError(f"expected uint8, uint16 or floats in 0 to 1, found {array.dtype}", "picture")
    if array.dtype.kind == "f" and not np.abs(array).max() <= MAX_VALUE:  # NaN neither
        raise InputError(f"expected floats in 0 to 1, found {array.min():g} to {array.max():g}", "picture")


def _from_tensor(tensor: Any) -> Pixels:
    import torch

    shape = tuple(tensor.shape)
    channels = shape[-3] if len(shape) > 2 else 1
    if len(shape) not in (2, 3, 4) or channels not in (1, 3, 4) or (len(shape) == 4 and shape[0] != 1):
        found = "×".join(map(str, shape)) or "a single number"
        raise InputError(f"expected a tensor H×W, C×H×W or 1×C×H×W with 1, 3 or 4 channels, found {found}", "picture")
    array = tensor.detach().cpu()
    array = (array.float() if array.dtype == torch.bfloat16 else array).numpy().reshape(-1, *shape[-2:])
    pixels = _from_array(array[0] if channels == 1 else array.transpose(1, 2, 0))

    def to_kind(rgb: NDArray, alpha: NDArray | None) -> Any:
        values = pixels.to_kind(rgb, alpha)
        values = torch.from_numpy(np.ascontiguousarray(values if channels == 1 else values.transpose(2, 0, 1)))
        return values.reshape(*shape[:-2], *values.shape[-2:]).to(tensor.device, tensor.dtype)

    return Pixels(pixels.rgb, pixels.alpha, pixels.grey, to_kind)
