"""Measures what a wrong JPEG quality costs: PSNR lost by a network that is told another quality than the true one.

    python -m benchmarks.jpeg_quality          # SRMDJ x2 on the held-out photos; draws img/jpeg_quality.png
    python -m benchmarks.jpeg_quality Set5     # HR pictures of your own

LR is blurred, downsampled, rounded to 8 bits and compressed in 4:2:0; the network is told the true kernel and the
standard tables of a quality. Prints the mean PSNR of Y in dB over the middles of the pictures, and draws what is lost.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from numpy.typing import NDArray

from benchmarks.jpeg import mean_psnr, modcrop_picture
from benchmarks.plans import ROOT, shipped
from benchmarks.ship import held_out_part
from srmd.base.files import atomic_write
from srmd.degradation import degrade_picture
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer, load

NETWORK = "srmdj_x2"
KERNELS = {"delta": "no blur", "gaussian:1.3": "blur of width 1.3"}
QUALITIES = (30, 50, 75, 90)
WRONG_BY = (-30, -20, -10, 0, 10, 20, 30)  # the told quality is at most 100
OUTPUT = ROOT / "img" / "jpeg_quality.png"


@dataclass(frozen=True)
class Curve:
    """The PSNR of one true quality, for each quality that is told."""

    quality: int
    psnr: dict[int, float]

    def lost(self) -> list[float]:
        """What is lost by each told quality, in dB, compared with the true one."""
        return [self.psnr[self.quality] - psnr for psnr in self.psnr.values()]


def told_qualities(quality: int) -> list[int]:
    """The qualities that are told of pictures of a true quality."""
    return sorted({min(quality + wrong, 100) for wrong in WRONG_BY if quality + wrong > 0})


def curve(network: Restorer, pictures: list[NDArray], kernel: str, quality: int) -> Curve:
    """The curve of a true quality, with a kernel that is told correctly."""
    scale = network.config.scale
    lrs = [degrade_picture(hr, kernel, scale=scale, jpeg=quality) for hr in pictures]
    psnr = {}
    for told in told_qualities(quality):
        restore = partial(network.restore, kernel=kernel, noise_level=0, jpeg=told)
        psnr[told] = mean_psnr(restore, lrs, pictures, scale)
    return Curve(quality, psnr)


def report(curves: list[Curve]) -> str:
    """A Markdown table with a row for each true quality, of PSNR by how much too high the told quality is."""
    header = [f"told {wrong:+d}" if wrong else "told the true one" for wrong in WRONG_BY]
    lines = [f"| true quality | {' | '.join(header)} |", "|---" * (len(WRONG_BY) + 1) + "|"]
    for each in curves:
        values = [each.psnr.get(each.quality + wrong) for wrong in WRONG_BY]
        cells = ["–" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"| {each.quality} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(curves: dict[str, list[Curve]], output: Path) -> None:
    """Plots what is lost, one plot for each kernel; rings mark the true qualities."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (kernel, of_kernel) in zip(figure.subplots(1, 2, sharey=True), curves.items(), strict=True):
        for number, each in enumerate(of_kernel):
            axes.plot(list(each.psnr), each.lost(), color=f"C{number}", label=f"true quality {each.quality}")
            axes.plot(each.quality, 0, "o", color=f"C{number}", markerfacecolor="white")
        axes.set(xlabel="quality told", ylabel="PSNR of Y lost [dB]", title=KERNELS[kernel])
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(output) as temporary:
        figure.savefig(temporary, dpi=90)


def main() -> None:
    """Prints the tables and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="folder of HR pictures (default: the built-in photos)")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    options = parser.parse_args()
    network = load(str(shipped(NETWORK)), precision="fp32")
    if options.data:
        pictures = [read_picture(path).pixels for path in list_pictures(options.data)]
    else:
        pictures = list(builtin_test_pictures().values())
    pictures = [modcrop_picture(held_out_part(picture), network.config.scale) for picture in pictures]
    curves = {kernel: [curve(network, pictures, kernel, quality) for quality in QUALITIES] for kernel in KERNELS}
    for kernel, of_kernel in curves.items():
        print(f"{KERNELS[kernel]}\n\n{report(of_kernel)}\n")
    draw(curves, options.output)
    print(f"The plots are in {options.output}")


if __name__ == "__main__":
    main()
