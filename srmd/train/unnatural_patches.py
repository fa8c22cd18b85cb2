"""Training patches for estimators that no photo looks like, made on the LR grid: graphics, and pictures of dots.

Letters, squares and lines that were drawn on the LR grid are sharp: an estimator shall read no blur, and take none of
their edges for noise. Dithered pictures and pictures of noise tell nothing of a blur: an estimator that is trained to
read a random one from each learns to be unsure of them.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srmd.train.special_patches import draw_text

TEXT_SHARE, CHECKERS_SHARE = 0.5, 0.2  # of graphics; the rest shows random shapes
DOTS = {"rounding": 0.25, "noise": 0.15, "diffusion": 0.15, "palette": 0.15, "ordered": 0.3}  # with their shares
ORDERED_DITHER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])  # Bayer's matrix


def draw_graphics(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Text, a chequerboard, or shapes of one colour each, (side, side, 3)."""
    kind = rng.random()
    if kind < TEXT_SHARE:
        page = draw_text(rng, side, int(rng.integers(8, 28)), is_bilevel=rng.random() < 0.3)
        return 255 - page if rng.random() < 0.3 else page
    if kind < TEXT_SHARE + CHECKERS_SHARE:
        squares = np.arange(side) // rng.integers(2, 24)
        colours = rng.integers(0, 256, (2, 3), np.uint8)
        return colours[np.add.outer(squares, squares) % 2]
    return _shapes(rng, side)


def _shapes(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    def colour() -> tuple[int, ...]:
        return tuple(rng.integers(0, 256, 3).tolist())

    page = Image.new("RGB", (side, side), colour())
    draw = ImageDraw.Draw(page)
    for _ in range(rng.integers(2, 12)):
        (left, right), (top, bottom) = (sorted(rng.integers(-10, side + 10, 2).tolist()) for _ in range(2))
        kind = rng.integers(3)
        if kind == 0:
            draw.rectangle([left, top, right, bottom], fill=colour())
        elif kind == 1:
            draw.ellipse([left, top, right, bottom], fill=colour())
        else:
            ends = (top, bottom) if rng.random() < 0.5 else (bottom, top)
            draw.line([left, ends[0], right, ends[1]], fill=colour(), width=int(rng.integers(1, 4)))
    return np.asarray(page)


def draw_dots(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], float]:
    """A gradient dithered in one of four ways, or with uniform noise, (side, side, 3), and the level of this noise."""
    slopes = np.linspace(-0.5, 0.5, side) * rng.uniform(-160, 160, (2, 1))
    gradient = np.clip(rng.uniform(20, 235, 3) + np.add.outer(*slopes)[..., None], 0, 255)
    channels = 3 if rng.random() < 0.5 else 1
    kind, level = rng.choice([*DOTS], p=[*DOTS.values()]), 0.0
    if kind == "rounding":
        dots = np.floor(gradient + rng.random((side, side, channels)))
    elif kind == "noise":
        amplitude = rng.uniform(2, 128)
        dots, level = gradient + rng.uniform(-amplitude, amplitude, (side, side, channels)), amplitude / math.sqrt(3)
    elif kind == "ordered":
        thresholds = np.tile((ORDERED_DITHER + 0.5) / 16 * 255, (side // 4, side // 4))
        dots = 255 * ((gradient if channels == 3 else gradient.mean(2, keepdims=True)) > thresholds[..., None])
    else:
        page = Image.fromarray(gradient.astype(np.uint8))
        page = page.convert("1") if kind == "diffusion" else page.quantize(int(rng.integers(2, 9)), dither=1)
        dots = np.asarray(page.convert("RGB"))
    return np.broadcast_to(np.clip(dots, 0, 255).round().astype(np.uint8), (side, side, 3)), level
