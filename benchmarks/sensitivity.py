"""Measures what a wrong assumption costs: PSNR for several true and assumed kernel widths and noise levels.

    python -m benchmarks.sensitivity    # the shipped SRMD x2 on the held-out photos; draws img/sensitivity.png
    python -m benchmarks.sensitivity --page=docs/degradations.md    # also writes the table of that page
    python -m benchmarks.sensitivity Set5 --weights=runs/NAME/last.safetensors --output=mine.png

Takes about a minute on two cores. Prints the mean PSNR of Y over the middles of the pictures, computed in float32 and
scored as by --mode=test, and draws it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands import add_page, command_parser, one_line_errors, pictures_folder
from benchmarks.crops import middle
from benchmarks.pages import replace_part
from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import gaussian
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import read_weights_with_pca

ROOT = Path(__file__).parents[1]
SIDE = 144  # HR pixels, of the middle of a picture that is scored
# Widths are varied without noise.
TRUE_WIDTHS = (0.7, 1.3, 2.0, 2.6)
ASSUMED_WIDTHS = (0.2, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 2.0, 2.3, 2.6, 3.0)
# Noise levels are varied with one kernel, whose width is assumed correctly.
NOISE_STUDY_WIDTH = 1.3
TRUE_NOISE_LEVELS = (5, 15, 30, 50)
ASSUMED_NOISE_LEVELS = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 75)
# The true, a lower and a higher assumed value that the page's table shows.
SHOWN_WIDTHS, SHOWN_NOISE_LEVELS = (1.3, 0.7, 2.0), (15, 5, 25)


class GaussianDegradation(NamedTuple):
    """An isotropic Gaussian blur and noise."""

    width: float  # HR pixels
    noise_level: float  # 0 to 255

    def degradation(self) -> Degradation:
        """The degradation for one picture."""
        kernel, level = torch.from_numpy(gaussian(self.width)), torch.tensor(float(self.noise_level))
        return Degradation.uniform(kernel[None], level[None])


@dataclass(frozen=True)
class Curve:
    """Mean PSNR of Y in dB for one true value: of the network by assumed value, and of bicubic upscaling."""

    true: float
    psnr: dict[float, float]
    bicubic: float

    def __str__(self) -> str:
        cells = [f"{value:.2f}" for value in (self.bicubic, *self.psnr.values())]
        return f"| {self.true:g} | {' | '.join(cells)} |"


class Study:
    """A network, and the middles of the pictures on which it is scored."""

    def __init__(self, restorer: Restorer, pictures: Iterable[np.ndarray]):
        self.restorer, self.scale = restorer, restorer.config.scale
        hrs = (torch.from_numpy(middle(picture, SIDE)).permute(2, 0, 1)[None] for picture in pictures)
        self.pictures = [modcrop(hr, self.scale) for hr in hrs]

    def curve(self, true_value: float, true: GaussianDegradation, assumed: dict[float, GaussianDegradation]) -> Curve:
        """The curve for one applied degradation.

        Args:
            true_value: the width or noise level of `true` that the study varies.
            assumed: the degradations that the network is told, by their width or noise level.
        """
        lrs = [self._degrade(hr, true) for hr in self.pictures]
        psnr = {
            value: self._mean_psnr([self._restore(lr, degradation) for lr in lrs])
            for value, degradation in assumed.items()
        }
        return Curve(true_value, psnr, self._mean_psnr([upsample(lr, self.scale) for lr in lrs]))

    def _degrade(self, hr: Tensor, true: GaussianDegradation) -> Tensor:
        return degrade(hr, true.degradation(), self.scale, noise=seeded_noise(0, hr, self.scale))

    def _restore(self, lr: Tensor, assumed: GaussianDegradation) -> Tensor:
        return self.restorer.restore_whole(lr, assumed.degradation())

    def _mean_psnr(self, restored: list[Tensor]) -> float:
        pairs = zip(restored, self.pictures, strict=True)
        return float(np.mean([score(to_array(sr), to_array(hr), self.scale)["psnr_y"] for sr, hr in pairs]))


def width_curves(study: Study) -> list[Curve]:
    """A curve for each true width, without noise."""
    assumed = {width: GaussianDegradation(width, 0) for width in ASSUMED_WIDTHS}
    return [study.curve(width, GaussianDegradation(width, 0), assumed) for width in TRUE_WIDTHS]


def noise_curves(study: Study) -> list[Curve]:
    """A curve for each true noise level, with one kernel, whose width is assumed correctly."""
    assumed = {level: GaussianDegradation(NOISE_STUDY_WIDTH, level) for level in ASSUMED_NOISE_LEVELS}
    return [study.curve(level, GaussianDegradation(NOISE_STUDY_WIDTH, level), assumed) for level in TRUE_NOISE_LEVELS]


def report(curves: list[Curve], quantity: str) -> str:
    """A Markdown table of PSNR with a row for each true value of the quantity and a column for each assumed one."""
    assumed = curves[0].psnr
    header = f"| true {quantity} | bicubic | {' | '.join(f'assumed {value:g}' for value in assumed)} |"
    return "\n".join([header, "|---" * (len(assumed) + 2) + "|", *map(str, curves)])


def page_table(widths: list[Curve], noise_levels: list[Curve]) -> str:
    """A Markdown table of one curve of each study: the true value assumed, a lower and a higher one, and bicubic."""
    lines = ["| true | lower assumed | true assumed | higher assumed | bicubic upscaling |", "|---" * 5 + "|"]
    for name, curves, (true, *wrong) in (
        ("width", widths, SHOWN_WIDTHS),
        ("noise level", noise_levels, SHOWN_NOISE_LEVELS),
    ):
        (curve,) = [curve for curve in curves if curve.true == true]
        psnr = {value: round(curve.psnr[value], 2) for value in (true, *wrong)}  # so that shown figures add up
        lower, higher = (f"{value:g}: {psnr[value]:.2f} ({psnr[value] - psnr[true]:+.2f})" for value in wrong)
        lines.append(f"| {name} {true:g} | {lower} | {psnr[true]:.2f} | {higher} | {curve.bicubic:.2f} |")
    return "\n".join(lines)


def draw(widths: list[Curve], noise_levels: list[Curve], output: Path) -> None:
    """Plots both studies side by side; rings mark true assumptions, dotted lines are bicubic upscaling."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, curves, quantity in ((left, widths, "width [HR pixels]"), (right, noise_levels, "noise level")):
        for number, curve in enumerate(curves):
            colour, assumed = f"C{number}", list(curve.psnr)
            axes.plot(assumed, list(curve.psnr.values()), color=colour, label=f"true {curve.true:g}")
            axes.plot(curve.true, curve.psnr[curve.true], "o", color=colour, markerfacecolor="white")
            axes.axhline(curve.bicubic, color=colour, linestyle=":", linewidth=1)
        axes.set(xlabel=f"assumed {quantity}", ylabel="PSNR of Y [dB]")
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_title("kernel: Gaussian, noise level 0")
    right.set_title(f"noise, kernel gaussian:{NOISE_STUDY_WIDTH:g}")
    with atomic_write(output) as temporary:
        figure.savefig(temporary, dpi=90)


@one_line_errors()
def main() -> None:
    """Prints the tables and draws the picture."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "data", nargs="?", type=pictures_folder, help="folder of HR pictures (default: the built-in photos)"
    )
    parser.add_argument("--weights", type=Path, default=ROOT / "weights" / "srmd_x2.safetensors", metavar="FILE")
    parser.add_argument("--pca", type=Path, help="P (.mat), for weights files that do not contain it", metavar="FILE")
    parser.add_argument("--output", type=Path, default=ROOT / "img" / "sensitivity.png", metavar="FILE")
    add_page(parser, "sensitivity")
    options = parser.parse_args()
    weights = read_weights_with_pca(options.weights, options.pca)
    if "noise" not in weights.network.config.conditions:
        raise InputError(f"{options.weights}: expected SRMD, which is told a noise level, found SRMDNF", "weights")
    if options.data:
        pictures = [read_picture(path).as_floats() for path in list_pictures(options.data)]
    else:
        pictures = [picture / 255 for picture in builtin_test_pictures().values()]
    study = Study(open_restorer(weights, engine="torch", precision="fp32"), pictures)
    widths, noise_levels = width_curves(study), noise_curves(study)
    print(f"{report(widths, 'width')}\n\n{report(noise_levels, 'noise level')}")
    draw(widths, noise_levels, options.output)
    if options.page:
        replace_part(options.page, "sensitivity", page_table(widths, noise_levels))
    print(f"\nThe plots are in {options.output}")


if __name__ == "__main__":
    main()
