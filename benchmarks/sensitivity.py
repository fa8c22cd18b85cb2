"""What a wrong assumption costs: PSNR over the assumed width and the assumed noise level, for several true ones.

    python -m benchmarks.sensitivity    # img/sensitivity.png: the shipped SRMD x2 on the held-out built-in photos
    python -m benchmarks.sensitivity Set5 --weights=runs/NAME/last.safetensors --output=mine.png

About a minute on two cores. Prints the figures: the middle of each picture, scored as a test scores it, in float32.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.cli.console import one_line
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import gaussian
from srmd.pictures.files import list_pictures, read_picture
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import read_weights_with_pca

ROOT = Path(__file__).parents[1]
SIDE = 144  # HR pixels of the middle that is scored
WIDTHS = (0.7, 1.3, 2.0, 2.6)  # true ones, without noise
ASSUMED_WIDTHS = (0.2, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 2.0, 2.3, 2.6, 3.0)
NOISE_LEVELS = (5, 15, 30, 50)  # true ones, at
WIDTH = 1.3  # of the blur
ASSUMED_NOISE_LEVELS = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 75)


class Blurred(NamedTuple):
    """A Gaussian blur and noise: what was done, or what the network is told."""

    width: float
    noise_level: float

    def degradation(self) -> Degradation:
        """The same as the house has it."""
        kernel, level = torch.from_numpy(gaussian(self.width)), torch.tensor(float(self.noise_level))
        return Degradation.uniform(kernel[None], level[None])


@dataclass(frozen=True)
class Curve:
    """Mean PSNR of Y in dB for one true value: of the network over the assumed values, and of bicubic upscaling."""

    true: float
    psnr: dict[float, float]
    bicubic: float

    def __str__(self) -> str:
        cells = [f"{value:.2f}" for value in (self.bicubic, *self.psnr.values())]
        return f"| {self.true:g} | {' | '.join(cells)} |"


class Study:
    """A network and the pictures that it is tried on."""

    def __init__(self, restorer: Restorer, pictures: Iterable[np.ndarray]):
        self.restorer, self.scale = restorer, restorer.config.scale
        self.pictures = [modcrop(_middle(picture), self.scale) for picture in pictures]

    def curve(self, name: float, true: Blurred, assumed: dict[float, Blurred]) -> Curve:
        """The curve of what was done, which goes by `name`, over what is assumed, by its names."""
        degraded = [self._degraded(hr, true) for hr in self.pictures]
        psnr = {key: self._mean([self._restored(lr, told) for lr in degraded]) for key, told in assumed.items()}
        return Curve(name, psnr, self._mean([upsample(lr, self.scale) for lr in degraded]))

    def _degraded(self, hr: Tensor, true: Blurred) -> Tensor:
        return degrade(hr, true.degradation(), self.scale, noise=seeded_noise(0, hr, self.scale))

    def _restored(self, lr: Tensor, told: Blurred) -> Tensor:
        return self.restorer.restore_whole(lr, told.degradation())

    def _mean(self, restored: list[Tensor]) -> float:
        pairs = zip(restored, self.pictures, strict=True)
        return float(np.mean([score(to_array(sr), to_array(hr), self.scale)["psnr_y"] for sr, hr in pairs]))


def _middle(picture: np.ndarray) -> Tensor:
    top, left = (max(side - SIDE, 0) // 2 for side in picture.shape[:2])
    return torch.from_numpy(picture[top : top + SIDE, left : left + SIDE]).permute(2, 0, 1)[None]


def width_curves(study: Study) -> list[Curve]:
    """Told a wrong width, and rightly that there is no noise."""
    assumed = {width: Blurred(width, 0) for width in ASSUMED_WIDTHS}
    return [study.curve(width, Blurred(width, 0), assumed) for width in WIDTHS]


def noise_curves(study: Study) -> list[Curve]:
    """Told a wrong noise level, and the right width."""
    assumed = {level: Blurred(WIDTH, level) for level in ASSUMED_NOISE_LEVELS}
    return [study.curve(level, Blurred(WIDTH, level), assumed) for level in NOISE_LEVELS]


def report(curves: list[Curve], what: str) -> str:
    """A table, a true value a row."""
    assumed = curves[0].psnr
    header = f"| true {what} | bicubic | {' | '.join(f'told {value:g}' for value in assumed)} |"
    return "\n".join([header, "|---" * (len(assumed) + 2) + "|", *map(str, curves)])


def draw(widths: list[Curve], noise_levels: list[Curve], output: Path) -> None:
    """Both studies side by side; a ring where the network is told the truth, dots for bicubic upscaling."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, curves, what in ((left, widths, "width [HR pixels]"), (right, noise_levels, "noise level")):
        for number, curve in enumerate(curves):
            colour, assumed = f"C{number}", list(curve.psnr)
            axes.plot(assumed, list(curve.psnr.values()), color=colour, label=f"true {curve.true:g}")
            axes.plot(curve.true, curve.psnr[curve.true], "o", color=colour, markerfacecolor="white")
            axes.axhline(curve.bicubic, color=colour, linestyle=":", linewidth=1)
        axes.set(xlabel=f"assumed {what}", ylabel="PSNR of Y [dB]")
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_title("kernel: Gaussian, noise level 0")
    right.set_title(f"noise, kernel gaussian:{WIDTH:g}")
    with atomic_write(output) as temporary:
        figure.savefig(temporary, dpi=90)


def main() -> None:
    """Prints the tables and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="folder of HR pictures (default: the built-in photos)")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights" / "srmd_x2.safetensors", metavar="FILE")
    parser.add_argument("--pca", type=Path, help="P (.mat) for weights that carry none", metavar="FILE")
    parser.add_argument("--output", type=Path, default=ROOT / "img" / "sensitivity.png", metavar="FILE")
    asked = parser.parse_args()
    weights = read_weights_with_pca(asked.weights, asked.pca)
    if "noise" not in weights.network.config.conditions:
        raise SystemExit(f"--weights: expected a network that is told a noise level, found SRMDNF in {asked.weights}")
    pictures = (
        [read_picture(path).to_float() for path in list_pictures(asked.data)]
        if asked.data
        else [picture / 255 for picture in builtin_test_pictures().values()]
    )
    study = Study(open_restorer(weights, engine="torch", precision="fp32"), pictures)
    widths, noise_levels = width_curves(study), noise_curves(study)
    print(f"{report(widths, 'width')}\n\n{report(noise_levels, 'noise level')}")
    draw(widths, noise_levels, asked.output)
    print(f"\ndrawn in {asked.output}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(one_line(error)) from error
