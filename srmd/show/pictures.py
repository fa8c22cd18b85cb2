"""Pictures for people to look at: samples, kernels, maps, comparisons."""

import math
from collections.abc import Container, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.base.files import atomic_write
from srmd.degradation import upsample
from srmd.kernel.files import write_kernels
from srmd.kernel.window import stack_kernels

LABEL_HEIGHT = 28  # pixels
LABEL_FONT_SIZE = 18
MIN_LABEL_FONT_SIZE = 12
PANEL_GAP = 4  # pixels between two panels of a comparison
MARK_COLOUR = "#ffc04d"  # the ground of marked labels
MAX_MAP_SIDE = 512  # largest side of a map's picture, in pixels
MIN_KERNEL_SIDE = 240  # smallest side of a kernel's picture in a file, in pixels


def to_rgb8(picture: Tensor) -> np.ndarray:
    """A picture (3, H, W), 0 to 1, as an array (H, W, 3) uint8; values outside 0 to 1 are clipped."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def sample_grid(lr: Tensor, sr: Tensor, hr: Tensor, scale: int) -> np.ndarray:
    """A row LR | bicubic | SR | HR for each sample of batches (N, 3, …) in 0 to 1, as one picture (H, W, 3) uint8."""
    from torchvision.utils import make_grid

    enlarged = torch.nn.functional.interpolate(lr, scale_factor=scale, mode="nearest")
    columns = torch.stack([enlarged, upsample(lr, scale), sr, hr], 1).flatten(0, 1)
    return to_rgb8(make_grid(columns.clamp(0, 1).cpu(), nrow=4))


def kernel_picture(kernels: np.ndarray, zoom: int = 8) -> np.ndarray:
    """Kernels (N, k, k) side by side, (zoom·k, N·zoom·k, 3) uint8: 0 black, each maximum white, negatives red."""
    levels = kernels / kernels.max((1, 2), keepdims=True) * 255
    colours = np.stack([np.abs(levels), levels, levels], -1).clip(0, 255).round().astype(np.uint8)
    return np.hstack(list(colours)).repeat(zoom, 0).repeat(zoom, 1)


def save_kernels(kernels: list[np.ndarray], path: Path) -> None:
    """Writes kernels (k, k) side by side as an enlarged picture (.png), or as a .mat that `read_kernels` can read.

    The .mat has one kernel in the variable `kernel`, or several in the cell array `kernels`.
    """
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mat":
            write_kernels(temporary, kernels)
        else:
            stack = stack_kernels(kernels)
            picture = kernel_picture(stack, ceil_div(MIN_KERNEL_SIDE, stack.shape[-1]))
            Image.fromarray(picture).save(temporary, "PNG")


def map_picture(values: np.ndarray, white: float) -> np.ndarray:
    """A map (H, W) with values from 0 (black) to `white` as a grey picture (h, w, 3) uint8.

    Of a large map only every second, third, … row and column is shown, so that no side exceeds MAX_MAP_SIDE.
    """
    step = max(values.shape) // MAX_MAP_SIDE + 1
    values = values[::step, ::step]
    return np.rint(values / white * 255).astype(np.uint8)[..., None].repeat(3, 2)


def comparison(panels: dict[str, np.ndarray], marked: Container[str] = (), min_width: int = 0) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of one size, by label, side by side in one picture, each below its label.

    The labels in `marked` are on a coloured ground. A column is as wide as the pictures, but at least `min_width`, and
    wide enough for the longest label.
    """
    height, picture_width, _ = next(iter(panels.values())).shape
    width = max(picture_width, min_width, label_width(panels))
    margin = (width - picture_width) // 2
    sheet = Image.new("RGB", (len(panels) * (width + PANEL_GAP) - PANEL_GAP, height + LABEL_HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, picture) in enumerate(panels.items()):
        left = i * (width + PANEL_GAP)
        if label in marked:
            draw.rectangle((left, 0, left + width - 1, LABEL_HEIGHT - 1), MARK_COLOUR)
        draw_label(draw, label, (left + width / 2, LABEL_HEIGHT / 2), width)
        sheet.paste(Image.fromarray(picture), (left + margin, LABEL_HEIGHT))
    return np.asarray(sheet)


def label_width(labels: Iterable[str]) -> int:
    """The width in pixels of the longest label in the smallest font, with a gap on both sides."""
    font = ImageFont.load_default(MIN_LABEL_FONT_SIZE)
    return max(math.ceil(font.getlength(label)) for label in labels) + 2 * PANEL_GAP


def draw_label(draw: ImageDraw.ImageDraw, label: str, middle: tuple[float, float], width: int) -> None:
    """Writes a label around `middle` (x, y), in a smaller font if it and its gaps would be wider than `width`."""
    font = ImageFont.load_default(LABEL_FONT_SIZE)
    while font.size > MIN_LABEL_FONT_SIZE and draw.textlength(label, font) > width - 2 * PANEL_GAP:
        font = ImageFont.load_default(font.size - 1)
    draw.text(middle, label, "black", font, anchor="mm")
