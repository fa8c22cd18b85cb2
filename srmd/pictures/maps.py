"""Label pictures, which say where each kernel applies, and noise maps.

A map has the size of the LR or of the HR picture. A map of HR size is averaged over the s×s HR pixels of each LR
pixel. This module imports no torch, so that flags are checked before torch is imported.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from srmd.base.errors import InputError
from srmd.base.files import check_is_file
from srmd.base.npy import read_npy
from srmd.config import MAX_PIXELS
from srmd.pictures.files import errors_of_reading, open_image, read_picture
from srmd.pictures.metadata import load_image

ONE_CHANNEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B")  # Pillow's modes with one number per pixel (P: its index)


def read_labels(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray:
    """The labels in a picture file, (H, W): grey values or palette indices.

    Raises InputError if the file is not a picture, has colours, or has more than `max_pixels` pixels.
    """
    with errors_of_reading(path), open_image(path, max_pixels) as file:
        load_image(file)
        image = ImageOps.exif_transpose(file)  # turned upright, as pictures are in `read_picture`
        labels = np.asarray(image if image.mode in ONE_CHANNEL_MODES else image.convert("RGB"))
    return _one_channel(labels, path) if labels.ndim == 3 else labels


def read_noise_map(path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.float64]:
    """The noise levels in a file, (H, W), 0 to 255: an array in .npy format, or the grey values of an 8-bit picture.

    Raises InputError for any other file.
    """
    check_is_file(path)
    if path.suffix.lower() == ".npy":
        return _read_npy(path, max_pixels)
    pixels = read_picture(path, max_pixels).pixels
    if pixels.dtype != np.uint8:
        raise InputError(f"{path}: expected a picture of 8 bits, or an .npy file, found 16 bits")
    return _one_channel(pixels, path).astype(np.float64)


def _read_npy(path: Path, max_pixels: int) -> NDArray[np.float64]:
    levels = read_npy(path)
    if levels.size > max_pixels:
        raise InputError(f"{path}: expected at most {max_pixels:,} pixels (`max_pixels`), found {levels.size:,}")
    if levels.ndim != 2:
        raise InputError(f"{path}: expected a 2-D array of real numbers, found {levels.dtype} {levels.shape}")
    if not (levels.min() >= 0 and levels.max() <= 255):  # also refuses NaN
        raise InputError(f"{path}: expected noise levels of 0 to 255, found {levels.min():g} to {levels.max():g}")
    return levels.astype(np.float64)


def _one_channel(pixels: NDArray, path: Path) -> NDArray:
    """The first of three equal channels, (H, W). Raises InputError if the channels differ."""
    if (pixels != pixels[..., :1]).any():
        raise InputError(f"{path}: expected a grey picture, found colours")
    return pixels[..., 0]


def check_labels(labels: NDArray, count: int) -> None:
    """Raises InputError unless every label is the number of a kernel, 0 to `count` - 1."""
    invalid = labels[(labels < 0) | (labels >= count)]
    if invalid.size:
        raise InputError(f"value {invalid[0]} has no kernel: {count} kernels cover the values 0 to {count - 1}")


def check_map_size(values: NDArray, hr_size: tuple[int, int], scale: int) -> tuple[int, int]:
    """Height and width of LR; raises InputError unless a map has the size of LR or of HR."""
    height, width = (side // scale for side in hr_size)
    if values.shape not in ((height, width), hr_size):
        sizes = f"{width}×{height} (LR) or {hr_size[1]}×{hr_size[0]} (HR)"
        raise InputError(f"expected {sizes} pixels, found {values.shape[1]}×{values.shape[0]}")
    return height, width


def to_lr_grid(values: NDArray, hr_size: tuple[int, int], scale: int) -> NDArray:
    """A map of LR or HR size on the LR grid: float64 (h, w).

    A map of HR size is averaged over the s×s pixels of each LR pixel; its last rows and columns are cut off if they do
    not fill an LR pixel. Raises InputError if the map has another size.
    """
    height, width = check_map_size(values, hr_size, scale)
    if values.shape == (height, width):
        return values.astype(np.float64)
    cropped = values[: height * scale, : width * scale]
    return cropped.reshape(height, scale, width, scale).mean((1, 3), dtype=np.float64)


def region_weights(labels: NDArray, count: int, hr_size: tuple[int, int], scale: int, blend: float) -> NDArray:
    """The weight of each kernel in each LR pixel, (count, h, w), sum 1 over the kernels.

    `blend` is the standard deviation, in LR pixels, of the Gaussian that blends neighbouring regions; 0 blends nothing.
    """
    from scipy.ndimage import gaussian_filter

    weights = np.stack([to_lr_grid(labels == label, hr_size, scale) for label in range(count)])
    if blend:
        weights = np.stack([gaussian_filter(weight, blend, mode="nearest") for weight in weights])
    return weights
