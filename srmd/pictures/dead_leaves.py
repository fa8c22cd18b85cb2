"""Dead leaves: synthetic training pictures of discs and polygons that cover one another."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def box_downsample(pixels: NDArray, factor: int) -> NDArray[np.uint8]:
    """Downsample pixels (H, W, 3) to the means of factor×factor blocks, rounded; incomplete blocks are cut off."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


def dead_leaves(size: int, seed: int) -> NDArray[np.uint8]:
    """Return a picture (size, size, 3) with edges and details of every size, as natural pictures have them.

    Half of the leaves are discs, half polygons; the density of their radii r is proportional to r⁻³, which makes
    the picture statistically the same at every scale. Each leaf has one colour, a linear shading and a grain. The
    picture is drawn at twice the size and averaged, so that edges are antialiased.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    side, min_radius, max_radius = 2 * size, 6.0, 2 * size / 3
    mean_area = 2 * math.pi * math.log(max_radius / min_radius) / (min_radius**-2 - max_radius**-2)
    count = round(6 * side**2 / mean_area)  # covers all but some 5 % of the ground, which is coloured as one more leaf
    radii = (min_radius**-2 - rng.random(count) * (min_radius**-2 - max_radius**-2)) ** -0.5
    leaf = _draw_leaves(rng, radii, side)

    # Natural colours vary most in lightness, less from blue to orange, least from green to magenta.
    amounts = rng.normal((0.45, 0, 0), (0.22, 0.08, 0.03), (count + 1, 3))
    colours = amounts @ np.array([(1, 1, 1), (1, 0.1, -1.1), (0.5, -1, 0.5)])
    slope = rng.normal(0, 0.15, (2, count + 1))
    grain = rng.exponential(0.03, count + 1)
    row, column = np.mgrid[:side, :side] / side - 0.5
    shade = slope[0, leaf] * row + slope[1, leaf] * column + grain[leaf] * _pink_noise(rng, side)
    return box_downsample(np.clip(colours[leaf] + shade[..., None], 0, 1) * 255, 2)


def _draw_leaves(rng: np.random.Generator, radii: NDArray, side: int) -> NDArray[np.int32]:
    """The number of the topmost leaf at each pixel, (side, side), counted from 1; 0 is the ground."""
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    for number, radius in enumerate(radii, start=1):
        x, y = rng.uniform(-radius, side + radius, 2)
        if rng.random() < 0.5:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=number)
            continue
        # A polygon whose 3 to 7 vertices lie on a rotated ellipse.
        angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 8)))
        ellipse = radius * (np.cos(angles) + 1j * rng.uniform(0.3, 1) * np.sin(angles))
        vertices = x + 1j * y + ellipse * np.exp(1j * rng.uniform(0, 2 * math.pi))
        draw.polygon([(vertex.real, vertex.imag) for vertex in vertices], fill=number)
    return np.asarray(canvas)


def _pink_noise(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Noise (side, side) with amplitudes proportional to 1/frequency, and standard deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / frequency, (side, side))
    return noise / noise.std()
