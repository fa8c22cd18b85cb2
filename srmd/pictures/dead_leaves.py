"""Drawn pictures to train on: leaves that fell on one another."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def box_downsample(pixels: NDArray, factor: int) -> NDArray[np.uint8]:
    """Means over blocks of factor×factor pixels; what is left over at the right and the bottom is cut off."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


def dead_leaves(size: int, seed: int) -> NDArray[np.uint8]:
    """A drawn picture, (size, size, 3), with edges and details of every size, as natural pictures have them.

    Leaves with radii r of density r⁻³ fall on one another, half of them discs, half polygons. Each has one colour, a
    slope of brightness and a grain. Drawn at twice the size and averaged, so that edges are smooth.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    side, smallest, largest = 2 * size, 6.0, 2 * size / 3
    mean_area = 2 * math.pi * math.log(largest / smallest) / (smallest**-2 - largest**-2)
    count = round(6 * side**2 / mean_area)  # leaves some 5 % of the ground to see: it is one more leaf
    radii = (smallest**-2 - rng.random(count) * (smallest**-2 - largest**-2)) ** -0.5
    leaf = _fallen(rng, radii, side)

    # Natural colours vary most in lightness, less from blue to orange, least from green to magenta.
    amounts = rng.normal((0.45, 0, 0), (0.22, 0.08, 0.03), (count + 1, 3))
    colours = amounts @ np.array([(1, 1, 1), (1, 0.1, -1.1), (0.5, -1, 0.5)])
    slope = rng.normal(0, 0.15, (2, count + 1))
    grain = rng.exponential(0.03, count + 1)
    row, column = np.mgrid[:side, :side] / side - 0.5
    shade = slope[0, leaf] * row + slope[1, leaf] * column + grain[leaf] * _pink_noise(rng, side)
    return box_downsample(np.clip(colours[leaf] + shade[..., None], 0, 1) * 255, 2)


def _fallen(rng: np.random.Generator, radii: NDArray, side: int) -> NDArray[np.int32]:
    """The number of the leaf that lies on top at each pixel, (side, side); 0 is the ground."""
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    for number, radius in enumerate(radii, start=1):
        x, y = rng.uniform(-radius, side + radius, 2)
        if rng.random() < 0.5:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=number)
            continue
        angle = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 8)))
        ellipse = radius * (np.cos(angle) + 1j * rng.uniform(0.3, 1) * np.sin(angle))
        corners = x + 1j * y + ellipse * np.exp(1j * rng.uniform(0, 2 * math.pi))
        draw.polygon([(corner.real, corner.imag) for corner in corners], fill=number)
    return np.asarray(canvas)


def _pink_noise(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Noise of amplitude 1/frequency and standard deviation 1, (side, side)."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / frequency, (side, side))
    return noise / noise.std()
