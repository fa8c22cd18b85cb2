"""Scores --estimate_map on pictures whose halves differ in blur, in noise, or in both.

    python -m benchmarks.blind_halves                     # the built-in photos, x2
    python -m benchmarks.blind_halves Set14 --scale=3     # HR pictures, or folders of them
    python -m benchmarks.blind_halves B100 --page=docs/blind.md    # also writes the table of that page

The left half has the first width and noise level, the right half the second; LR is rounded to 8 bits. Four columns:
bicubic upscaling, one estimate for the whole picture, a map of estimates, and the true halves. PSNR of Y in dB.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.commands import add_page, command_parser, one_line_errors
from benchmarks.pages import replace_part
from srmd.cli.values import existing
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise, upsample
from srmd.evaluate.picture import to_array
from srmd.kernel.families import gaussian
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import quantise
from srmd.restore.auto import estimated_kernel
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.estimate_map import estimate_map
from srmd.restore.restorer import Restorer, load
from srmd.weights.shipped import shipped_weights

COLUMNS = ("bicubic", "one estimate", "map", "truth")


@dataclass(frozen=True)
class Halves:
    """Width and noise level of the left and of the right half."""

    widths: tuple[float, float]
    noise_levels: tuple[float, float]

    def degradation(self, height: int, width: int) -> Degradation:
        """The degradation of a picture with LR of this size."""
        is_left = (torch.arange(width) < width // 2).double()
        weights = torch.stack([is_left, 1 - is_left])[None, :, None].expand(1, 2, height, width)
        kernels = torch.from_numpy(gaussian(np.array(self.widths)))[None]
        return Degradation(kernels, torch.tensor([self.noise_levels], dtype=torch.float64), weights)

    def __str__(self) -> str:
        (left, right), (left_level, right_level) = self.widths, self.noise_levels
        return f"width {left:g}, {right:g}; noise {left_level:g}, {right_level:g}"


CASES = (Halves((0.6, 1.8), (0, 20)), Halves((0.6, 1.8), (0, 0)), Halves((1.2, 1.2), (0, 20)))
UNIFORM = (Halves((1.2, 1.2), (0, 0)), Halves((1.2, 1.2), (10, 10)))  # here a map can only lose


class HalvesStudy:
    """The networks and the estimator of a scale."""

    def __init__(self, scale: int):
        self.scale, self.estimator = scale, BlindEstimator(scale)
        self._restorers = {noisy: load(shipped_weights(scale, noisy), precision="fp32") for noisy in (False, True)}

    def scores(self, hr: Tensor, halves: Halves) -> dict[str, float]:
        """PSNR of Y by column, of HR (1, 3, H, W) in 0 to 1."""
        hr = modcrop(hr, self.scale)
        truth = halves.degradation(hr.shape[-2] // self.scale, hr.shape[-1] // self.scale)
        unclipped = degrade(hr, truth, self.scale, noise=seeded_noise(0, hr, self.scale))
        lr = quantise(to_array(unclipped), np.dtype(np.uint8))
        picture = torch.from_numpy(lr / 255).permute(2, 0, 1)[None]
        assumed = {"one estimate": self._uniform(self.estimator.estimate(lr)), "map": self._map(lr), "truth": truth}
        restored = {"bicubic": to_array(upsample(picture, self.scale))}
        restored |= {column: self._restore(lr, degradation) for column, degradation in assumed.items()}
        return {column: score(sr, to_array(hr), self.scale)["psnr_y"] for column, sr in restored.items()}

    def _uniform(self, estimate: Estimate) -> Degradation:
        restorer = self._restorers[estimate.noise_level > 0]
        kernel = estimated_kernel(estimate, restorer.config.kernel_size)
        return Degradation.uniform(torch.from_numpy(kernel)[None], torch.tensor([estimate.noise_level]))

    def _map(self, lr: NDArray) -> Degradation:
        return estimate_map(self.estimator, lr).degradation(self._restorers[True].config.kernel_size)

    def _restore(self, lr: NDArray, assumed: Degradation) -> NDArray:
        restorer: Restorer = self._restorers[bool((assumed.noise_levels > 0).any())]
        sr = np.empty((self.scale * lr.shape[0], self.scale * lr.shape[1], 3), np.float32)
        for rows, columns, tile in restorer.restore_tiles(lr, assumed):
            sr[rows, columns] = to_array(tile)
        return sr


def table(study: HalvesStudy, pictures: Iterable[Tensor], cases: Iterable[Halves]) -> str:
    """A Markdown table with the means over the pictures, a row for each case."""
    lines = [f"| x{study.scale}: left, right half | {' | '.join(COLUMNS)} | gain of the map |", "|---" * 6 + "|"]
    pictures = list(pictures)
    for halves in cases:
        scores = [study.scores(hr, halves) for hr in pictures]
        means = {column: float(np.mean([each[column] for each in scores])) for column in COLUMNS}
        gain = means["map"] - means["one estimate"]
        lines.append(f"| {halves} | {' | '.join(f'{means[column]:.2f}' for column in COLUMNS)} | {gain:+.2f} |")
    return "\n".join(lines)


def pictures_of(data: list[Path]) -> list[Tensor]:
    """Pictures and the pictures of folders, or the built-in photos if there are none, as (1, 3, H, W) in 0 to 1."""
    paths = [path for each in data for path in ([each] if each.is_file() else list_pictures(each))]
    arrays = [read_picture(path).as_floats() for path in paths]
    arrays = arrays or [photo / 255 for photo in builtin_test_pictures().values()]
    return [torch.from_numpy(array).permute(2, 0, 1)[None] for array in arrays]


@one_line_errors()
def main() -> None:
    """Prints the table, and writes it to the page."""
    parser = command_parser(__doc__)
    parser.add_argument("data", nargs="*", type=existing, help="HR pictures or folders (default: the built-in photos)")
    parser.add_argument("--scale", type=int, default=2, choices=(2, 3, 4))
    add_page(parser, "halves")
    options = parser.parse_args()
    pictures = pictures_of(options.data)
    text = table(HalvesStudy(options.scale), pictures, CASES + UNIFORM)
    print(text)
    if options.page:
        replace_part(options.page, "halves", text)


if __name__ == "__main__":
    main()
