"""Scores blind restoring on blur that no Gaussian describes, and on sharpened pictures.

    python -m benchmarks.blind_limits           # the built-in photos, x2
    python -m benchmarks.blind_limits Set14     # HR pictures, or folders of them
    python -m benchmarks.blind_limits Set5 --page=docs/blind.md    # also writes the table of that page

Columns: bicubic upscaling, no blur assumed, auto, the best isotropic Gaussian of BEST_WIDTHS by PSNR, and the true
kernel, which no sharpened picture has. LR is rounded to 8 bits. PSNR of Y in dB, means over the pictures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from benchmarks.blind_halves import pictures_of
from benchmarks.commands import add_page, command_parser, one_line_errors
from benchmarks.pages import replace_part
from srmd.cli.values import existing
from srmd.degradation import Degradation, degrade, modcrop, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import KERNEL_SIZE, delta, gaussian
from srmd.pictures.metrics import score
from srmd.pictures.picture import quantise
from srmd.restore.estimate import BlindEstimator
from srmd.restore.restorer import load
from srmd.weights.shipped import shipped_weights

SCALE = 2
BEST_WIDTHS = (0.2, 0.5, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.3, 2.6)
SUBPIXELS = 25  # samples of a pixel along each axis, for kernels with sharp edges
COLUMNS = ("bicubic", "no blur assumed", "auto", "best isotropic Gaussian", "true kernel")


@dataclass(frozen=True)
class Case:
    """A blur, and how much LR is sharpened after it."""

    name: str
    kernel: NDArray  # (15, 15)
    sharpening: int = 0  # percent of Pillow's unsharp mask with a radius of one LR pixel


def disc(radius: float) -> NDArray:
    """The blur of a lens out of focus: a disc of this radius in HR pixels, (15, 15), sum 1."""
    row, column = _sample_positions()
    return _pixel_means(row**2 + column**2 <= radius**2)


def motion(length: float, angle: float) -> NDArray:
    """The blur of an even movement: a line one pixel thick, of this length in HR pixels, (15, 15), sum 1."""
    row, column = _sample_positions()
    turn = np.deg2rad(angle)
    along, across = column * np.cos(turn) + row * np.sin(turn), row * np.cos(turn) - column * np.sin(turn)
    return _pixel_means((np.abs(along) <= length / 2) & (np.abs(across) <= 0.5))


def _sample_positions() -> NDArray:
    """Row and column of each sample, in HR pixels relative to the middle of the kernel."""
    return (np.mgrid[: KERNEL_SIZE * SUBPIXELS, : KERNEL_SIZE * SUBPIXELS] + 0.5) / SUBPIXELS - KERNEL_SIZE / 2


def _pixel_means(samples: NDArray) -> NDArray:
    means = samples.reshape(KERNEL_SIZE, SUBPIXELS, KERNEL_SIZE, SUBPIXELS).mean((1, 3))
    return means / means.sum()


CASES = (
    Case("Gaussian, width 1.3, for comparison", gaussian(1.3)),
    Case("motion, 5 pixels, 30°", motion(5, 30)),
    Case("motion, 9 pixels, 30°", motion(9, 30)),
    Case("disc, radius 2", disc(2)),
    Case("disc, radius 3", disc(3)),
    Case("no blur, sharpened by 50 %", delta(), 50),
    Case("no blur, sharpened by 150 %", delta(), 150),
    Case("Gaussian, width 1.3, sharpened by 100 %", gaussian(1.3), 100),
)


class LimitsStudy:
    """The networks and the estimator of x2."""

    def __init__(self):
        self.estimator = BlindEstimator(SCALE)
        self._restorers = {noisy: load(shipped_weights(SCALE, noisy), precision="fp32") for noisy in (False, True)}

    def scores(self, hr: Tensor, case: Case) -> tuple[dict[str, float], str]:
        """PSNR of Y by column, of HR (1, 3, H, W) in 0 to 1, and the estimate in words."""
        hr = modcrop(hr, SCALE)
        lr = self._degrade(hr, case)
        picture = torch.from_numpy(lr / 255).permute(2, 0, 1)[None]
        estimate = self.estimator.estimate(lr)
        psnr = {
            "bicubic": _psnr(to_array(upsample(picture, SCALE)), hr),
            "no blur assumed": self._told(lr, hr, "delta"),
            "auto": self._told(lr, hr, estimate.kernel_spec, estimate.noise_level),
            "best isotropic Gaussian": max(self._told(lr, hr, f"gaussian:{width:g}") for width in BEST_WIDTHS),
        }
        if not case.sharpening:
            psnr["true kernel"] = self._told(lr, hr, case.kernel)
        noise = f", noise {estimate.noise_level:g}" if estimate.noise_level else ""
        sure = "" if estimate.is_sure else " (unsure)"
        return psnr, f"`{estimate.kernel_spec}`{noise}{sure}"

    def _degrade(self, hr: Tensor, case: Case) -> NDArray[np.uint8]:
        degradation = Degradation.uniform(torch.from_numpy(case.kernel)[None], torch.zeros(1))
        lr = quantise(to_array(degrade(hr, degradation, SCALE)), np.dtype(np.uint8))
        if case.sharpening:
            mask = ImageFilter.UnsharpMask(radius=1, percent=case.sharpening, threshold=0)
            lr = np.array(Image.fromarray(lr).filter(mask))
        return lr

    def _told(self, lr: NDArray, hr: Tensor, kernel: str | NDArray, noise_level: float = 0.0) -> float:
        sr = self._restorers[noise_level > 0].restore(lr, kernel, noise_level)
        return _psnr(sr / 255, hr)


def _psnr(sr: NDArray, hr: Tensor) -> float:
    return score(sr, to_array(hr), SCALE)["psnr_y"]


def table(study: LimitsStudy, pictures: list[Tensor], cases: Iterable[Case]) -> Iterator[str]:
    """The lines of a Markdown table with a row for each case; the last column has the estimates of three pictures."""
    yield f"| blur | {' | '.join(COLUMNS)} | estimates |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for case in cases:
        found = [study.scores(hr, case) for hr in pictures]
        columns = found[0][0]
        means = [f"{np.mean([psnr[name] for psnr, _ in found]):.2f}" if name in columns else "–" for name in COLUMNS]
        estimates = "; ".join(text for _, text in found[:3])
        yield f"| {case.name} | {' | '.join(means)} | {estimates} |"


@one_line_errors()
def main() -> None:
    """Prints the table, and writes it to the page."""
    parser = command_parser(__doc__)
    parser.add_argument("data", nargs="*", type=existing, help="HR pictures or folders (default: the built-in photos)")
    add_page(parser, "limits")
    options = parser.parse_args()
    pictures, lines = pictures_of(options.data), []
    for line in table(LimitsStudy(), pictures, CASES):
        print(line, flush=True)
        lines.append(line)
    if options.page:
        replace_part(options.page, "limits", "\n".join(lines))


if __name__ == "__main__":
    main()
