"""What differs over a picture: which kernel is where, and which noise level; on the LR grid.

No torch here, so that flags are checked before it is imported. A map has LR's size, or HR's, and is then averaged
over the s×s HR pixels of each LR pixel.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from srmd.base.errors import InputError
from srmd.pictures.files import load_image, open_image, read_picture

NUMBERED = ("1", "L", "P", "I", "I;16", "I;16B")  # Pillow's modes of one number a pixel, of palettes the index


def read_labels(path: Path) -> NDArray:
    """The numbers in a picture's pixels, (H, W): grey values or palette indices; InputError where it has colours."""
    try:
        with open_image(path) as file:
            load_image(file)
            image = ImageOps.exif_transpose(file)  # upright, as the picture that they belong to
            labels = np.asarray(image if image.mode in NUMBERED else image.convert("RGB"))
    except Exception as error:  # a broken file can fail in any way inside Pillow's many readers
        raise InputError(f"{path}: not a picture of labels ({error})") from error
    return _one_channel(labels, path) if labels.ndim == 3 else labels


def read_noise_map(path: Path) -> NDArray[np.float64]:
    """Noise levels of 0 to 255, (H, W): the numbers of an .npy file, or the values of a grey picture of 8 bits."""
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    pixels = read_picture(path).pixels
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: expected a picture of 8 bits, or an .npy file, found 16 bits")
    return _one_channel(pixels, path).astype(np.float64)


def _read_npy(path: Path) -> NDArray[np.float64]:
    try:
        levels = np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:
        raise InputError(f"{path}: not an .npy file ({error})") from error
    if levels.ndim != 2 or levels.size == 0 or levels.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected a 2-D array of real numbers, found {levels.dtype} {levels.shape}")
    if not (levels.min() >= 0 and levels.max() <= 255):  # NaN neither
        raise InputError(f"{path}: expected noise levels of 0 to 255, found {levels.min():g} to {levels.max():g}")
    return levels.astype(np.float64)


def _one_channel(pixels: NDArray, path: Path) -> NDArray:
    if (pixels != pixels[..., :1]).any():
        raise InputError(f"{path}: expected a grey picture, found colours")
    return pixels[..., 0]


def check_labels(labels: NDArray, count: int) -> None:
    """Raises InputError unless every label numbers one of `count` kernels."""
    strange = labels[(labels < 0) | (labels >= count)]
    if strange.size:
        raise InputError(f"value {strange[0]} has no kernel: {count} were given, for values 0 to {count - 1}")


def to_lr_grid(values: NDArray, hr_size: tuple[int, int], scale: int) -> NDArray:
    """(H, W) of LR's or HR's size to (h, w), floats; rows and columns that fill no LR pixel are cut off.

    Raises InputError for any other size.
    """
    height, width = (side // scale for side in hr_size)
    if values.shape == (height, width):
        return values.astype(np.float64)
    if values.shape != hr_size:
        sizes = f"{width}×{height} (LR) or {hr_size[1]}×{hr_size[0]} (HR)"
        raise InputError(f"expected {sizes} pixels, found {values.shape[1]}×{values.shape[0]}")
    whole = values[: height * scale, : width * scale]
    return whole.reshape(height, scale, width, scale).mean((1, 3), dtype=np.float64)


def region_weights(labels: NDArray, count: int, hr_size: tuple[int, int], scale: int, blend: float) -> NDArray:
    """Each kernel's weight in each LR pixel, (count, h, w), sum 1.

    `blend` is the standard deviation, in LR pixels, of a Gaussian that softens the borders of the regions.
    """
    from scipy.ndimage import gaussian_filter

    shares = (to_lr_grid(labels == label, hr_size, scale) for label in range(count))
    return np.stack([gaussian_filter(share, blend, mode="nearest") if blend else share for share in shares])
