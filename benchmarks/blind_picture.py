"""Draws img/blind.png: built-in photos restored with too narrow, true and too wide kernels, and wrong noise levels.

python -m benchmarks.blind_picture
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.blind_cells import isotropic
from benchmarks.commands import command_parser
from srmd.base.files import atomic_write
from srmd.degradation import Degradation, degrade, seeded_noise
from srmd.evaluate.picture import to_array
from srmd.kernel.specs import parse_kernels
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import quantise
from srmd.restore.restorer import load
from srmd.show.sheets import Panel, sheet
from srmd.weights.shipped import shipped_weights

PICTURE = Path(__file__).parents[1] / "img" / "blind.png"
SCALE = 2
SIDE = 100  # HR pixels, of the part of a photo that is shown
MARGIN = 32  # HR pixels around it that are restored too
ZOOM = 2
WIDTH = 1.3  # of the true kernel, HR pixels
NOISE_LEVEL = 10


@dataclass(frozen=True)
class Row:
    """A part of a photo with a true noise level, and what the network is told of it."""

    photo: str
    corner: tuple[int, int]  # row and column of the part
    noise_level: float
    told: tuple[tuple[float, float], ...]  # widths and noise levels


ROWS = (
    Row("astronaut", (60, 170), 0, ((0.6, 0), (1.1, 0), (WIDTH, 0), (1.5, 0), (2.0, 0))),
    Row("chelsea", (70, 130), NOISE_LEVEL, ((WIDTH, 3), (WIDTH, 7), (WIDTH, 10), (WIDTH, 15), (WIDTH, 30))),
)


def panels(row: Row) -> list[Panel]:
    """The panels of a row; the true assumption is marked."""
    (top, left), outer = row.corner, SIDE + 2 * MARGIN
    photo = builtin_test_pictures()[row.photo][top - MARGIN :, left - MARGIN :][:outer, :outer]
    hr = torch.from_numpy(photo / 255).permute(2, 0, 1)[None]
    kernel = torch.from_numpy(parse_kernels(isotropic(WIDTH))[0])[None]
    degradation = Degradation.uniform(kernel, torch.tensor([float(row.noise_level)]))
    lr = quantise(to_array(degrade(hr, degradation, SCALE, noise=seeded_noise(0, hr, SCALE))), np.dtype(np.uint8))
    drawn = [Panel("LR", _zoomed(_inner(lr.repeat(SCALE, 0).repeat(SCALE, 1))))]
    for width, noise_level in row.told:
        restorer = load(shipped_weights(SCALE, noise_level > 0), precision="fp32")
        sr = _inner(restorer.restore(lr, isotropic(width), noise_level))
        psnr = score(sr / 255, _inner(photo) / 255, SCALE)["psnr_y"]
        label = f"noise {noise_level:g}" if row.noise_level else f"width {width:g}"
        drawn.append(Panel(f"{label}: {psnr:.1f} dB", _zoomed(sr), (width, noise_level) == (WIDTH, row.noise_level)))
    return drawn


def _inner(pixels: NDArray) -> NDArray:
    """The part that is shown."""
    return pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _zoomed(pixels: NDArray) -> NDArray:
    """The pixels enlarged without interpolation."""
    return pixels.repeat(ZOOM, 0).repeat(ZOOM, 1)


def draw(output: Path) -> None:
    """Draws all rows."""
    title = f"True width {WIDTH:g}, without noise above, with noise {NOISE_LEVEL} below; the true assumption is marked"
    picture = Image.fromarray(sheet(title, [panels(row) for row in ROWS]))
    with atomic_write(output) as temporary:
        picture.quantize(256, dither=Image.Dither.NONE).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    draw(PICTURE)
