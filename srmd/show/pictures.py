"""Pictures for people: samples, kernels, maps, comparisons."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srmd.base.files import atomic_write
from srmd.degradation import upsample
from srmd.kernel.files import write_kernels
from srmd.kernel.window import stack_kernels

LABEL_HEIGHT = 28
MAP_SIDE = 512  # pixels at most, of a map's picture
PICTURE_SIDE = 240  # pixels at least, of a kernel's picture


def to_rgb8(picture: Tensor) -> np.ndarray:
    """(3, H, W) in 0 to 1 → (H, W, 3) uint8, clipped."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def sample_grid(lr: Tensor, sr: Tensor, hr: Tensor, scale: int) -> np.ndarray:
    """LR | bicubic | SR | HR, a sample a row; batches (N, 3, …) → (H, W, 3) uint8."""
    from torchvision.utils import make_grid

    enlarged = torch.nn.functional.interpolate(lr, scale_factor=scale, mode="nearest")
    columns = torch.stack([enlarged, upsample(lr, scale), sr, hr], 1).flatten(0, 1)
    return to_rgb8(make_grid(columns.clamp(0, 1).cpu(), nrow=4))


def kernel_picture(kernels: np.ndarray, zoom: int = 8) -> np.ndarray:
    """Kernels (N, k, k) side by side, (zoom·k, N·zoom·k, 3) uint8: zero black, each peak white, negative values red."""
    levels = kernels / kernels.max((1, 2), keepdims=True) * 255
    colours = np.stack([np.abs(levels), levels, levels], -1).clip(0, 255).round().astype(np.uint8)
    return np.hstack(list(colours)).repeat(zoom, 0).repeat(zoom, 1)


def save_kernels(kernels: list[np.ndarray], path: Path) -> None:
    """Kernels (k, k) as an enlarged picture, side by side, or as a .mat that `read_kernels` takes again.

    One is there under the key `kernel`, several are the cells of `kernels`.
    """
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mat":
            write_kernels(temporary, kernels)
        else:
            stack = stack_kernels(kernels)
            picture = kernel_picture(stack, -(-PICTURE_SIDE // stack.shape[-1]))
            Image.fromarray(picture).save(temporary, "PNG")


def map_picture(values: np.ndarray, white: float) -> np.ndarray:
    """Numbers (H, W) from 0 to `white` as a grey picture (H, W, 3) uint8, of large ones every few pixels one."""
    step = max(values.shape) // MAP_SIDE + 1
    values = values[::step, ::step]
    return np.rint(values / white * 255).astype(np.uint8)[..., None].repeat(3, 2)


def comparison(panels: dict[str, np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of one size side by side, each under its label."""
    height, width, _ = next(iter(panels.values())).shape
    sheet = Image.new("RGB", (len(panels) * (width + 4) - 4, height + LABEL_HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, picture) in enumerate(panels.items()):
        left = i * (width + 4)
        font = ImageFont.load_default(18)
        while font.size > 8 and draw.textlength(label, font) > width:
            font = ImageFont.load_default(font.size - 1)
        draw.text((left + width / 2, LABEL_HEIGHT / 2), label, "black", font, anchor="mm")
        sheet.paste(Image.fromarray(picture), (left, LABEL_HEIGHT))
    return np.asarray(sheet)
