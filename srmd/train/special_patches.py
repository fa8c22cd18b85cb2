"""Training patches for estimators: patches that tell little of their blur, or that look like no photo.

They show text, flat areas or little contrast: an estimator that never saw them would be sure of them, too.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TEXT_SHARE, FLAT_SHARE = 0.35, 0.25  # the rest keeps its content with less contrast
CONTRASTS = (0.02, 0.3)
WORDS = [
    "the",
    "of",
    "width",
    "noise",
    "level",
    "kernel",
    "scale",
    "is",
    "LR",
    "HR",
    "0.25",
    "128",
    "(x2)",
    "1997",
    "sharp;",
]


def make_special(rng: np.random.Generator, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop (h, h, 3) replaced by text or a flat area, or with less contrast."""
    kind = rng.random()
    if kind < TEXT_SHARE:
        return draw_text(rng, len(crop), int(rng.integers(8, 30) * max(1, len(crop) / 200)))
    if kind < TEXT_SHARE + FLAT_SHARE:
        return _flat(rng, len(crop))
    values = (crop - crop.mean()) * rng.uniform(*CONTRASTS) + rng.uniform(30, 225)
    return np.clip(values, 0, 255).astype(np.uint8)


def draw_text(rng: np.random.Generator, side: int, size: int, is_bilevel: bool = False) -> NDArray[np.uint8]:
    """Lines of random words of a size in pixels, black or dark on white or a light colour, (side, side, 3).

    Bilevel letters have no pixels of intermediate colours.
    """
    paper = tuple(map(int, rng.integers(150, 256, 3))) if rng.random() < 0.5 else (255, 255, 255)
    ink = tuple(map(int, rng.integers(0, 90, 3))) if rng.random() < 0.5 else (0, 0, 0)
    page = Image.new("RGB", (side, side), paper)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    if is_bilevel:
        draw.fontmode = "1"
    for top in range(-int(rng.integers(size)), side, int(1.3 * size)):
        draw.text((-int(rng.integers(80)), top), " ".join(rng.choice(WORDS, 40)), fill=ink, font=font)
    return np.asarray(page)


def _flat(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """One colour, or a slow change of brightness from top to bottom."""
    gradient = np.linspace(0, rng.uniform(0, 60) if rng.random() < 0.5 else 0, side)
    values = rng.uniform(0, 255, 3) + np.broadcast_to(gradient[:, None, None], (side, side, 1))
    return np.clip(values, 0, 255).astype(np.uint8)
