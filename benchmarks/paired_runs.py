"""Compares settings of training by short runs in pairs, which start from the shipped SRMDNF x2.

    python -m benchmarks.paired_runs --lossy=train --lossless=lossless --test_data Set5 Set14

Trains with the baseline and with each other setting of SETTINGS, with three seeds: runs of one seed have equal kernels,
and equal crops if they have the same pictures. Every seventh lossless picture is held out and scored. Prints the mean
difference of each setting from the baseline in dB, and its standard error over the seeds. All is kept in
`data/paired_runs`: the same command continues runs that were stopped, and does not repeat finished ones.
"""

import itertools
import json
import math
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.commands import add_test_data, command_parser, one_line_errors, pictures_folder
from benchmarks.crops import middle
from benchmarks.ship import ROOT
from srmd.cli import main
from srmd.degradation import Degradation, degrade, modcrop
from srmd.evaluate.picture import to_array
from srmd.kernel.specs import parse_kernels
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import luma, psnr
from srmd.restore.restorer import open_restorer
from srmd.train.colours import UNCHANGED_COLOURS
from srmd.weights.files import read_weights

WEIGHTS = ROOT / "weights" / "srmdnf_x2.safetensors"
FOLDER = Path("data/paired_runs")
SEEDS = (0, 1, 2)
FLAGS = ("--steps=200", "--batch_size=4", "--patch_size=48", "--lr=2e-4", "--noise_free", "--precision=fp32")
HELD_OUT_EVERY = 7  # every seventh lossless picture is held out
SCALE, SIDE = 2, 192  # side in HR pixels of the middle of a picture, which is scored
BASELINE = "baseline"
# Constants that all runs change: in so few steps, features with new weights would learn nothing.
COMMON = {"srmd.solver.Solver.reset_dormant": lambda solver: None}


class Setting(NamedTuple):
    """The constants of the package that a run changes, and its pictures."""

    constants: dict[str, object]  # values by name
    pictures: str = "lossless-lossy"  # folder of links in FOLDER
    sizes: str = "1,0.75,0.5"  # as --pack_sizes takes them
    sizes_lossy: str = "1,0.75,0.5"

    @property
    def pack(self) -> Path:
        """The pack of these pictures and sizes."""
        return FOLDER / f"{self.pictures}-{self.sizes}-{self.sizes_lossy}.h5"


AUTHORS_RANGES = {"srmd.kernel.families.MAX_WIDTH": 2.0, "srmd.kernel.families.MAX_VARIANCE": 6.0}
SETTINGS = {
    BASELINE: Setting({}),
    "widths to 2.0": Setting(AUTHORS_RANGES),
    "never rounded": Setting({"srmd.train.batches.ROUNDED_SHARE": 0.0}),
    "always rounded": Setting({"srmd.train.batches.ROUNDED_SHARE": 1.0}),
    "lossless only": Setting({}, pictures="lossless"),
    "lossy only": Setting({}, pictures="lossy"),
    "size 1 only": Setting({}, sizes="1", sizes_lossy="1"),
    "lossy without size 1": Setting({}, sizes_lossy="0.75,0.5"),
    "colours unchanged": Setting({"srmd.solver.COLOUR_SHARES": UNCHANGED_COLOURS}),
}


class Sample(NamedTuple):
    """The middle of a picture that is scored."""

    lr: Tensor  # (1, 3, h, w)
    told: Degradation
    hr: Tensor  # (1, 3, H, W)


def run_command(*flags: str) -> None:
    """Run the package's command line. Ends this process with its exit code if it fails or is stopped."""
    if code := main.main(list(flags)):
        raise SystemExit(code)


def link_pictures(lossy: Path, lossless: Path) -> None:
    """Make the folders `lossy`, `lossless`, `lossless-lossy` and `held_out` in FOLDER, with links to the pictures."""
    lossy_paths, paths = list_pictures(lossy), list_pictures(lossless)
    held_out = paths[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]
    rest = [path for path in paths if path not in held_out]
    folders = {"lossy": lossy_paths, "lossless": rest, "lossless-lossy": [*rest, *lossy_paths], "held_out": held_out}
    for name, chosen in folders.items():
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        for path in chosen:
            if not (link := FOLDER / name / path.name).exists():
                link.symlink_to(path.resolve())


def make_pack(setting: Setting) -> None:
    """Pack the pictures of a setting, unless that is done."""
    if not setting.pack.exists():
        sizes = [f"--pack_sizes={setting.sizes}", f"--pack_sizes_lossy={setting.sizes_lossy}"]
        source = FOLDER / setting.pictures
        run_command("--mode=prepare", f"--train_data={source}", f"--output={setting.pack}", *sizes)


def train(name: str, seed: int) -> Path:
    """Train with a setting, or go on with its run; return the weights."""
    setting, output = SETTINGS[name], FOLDER / "runs" / f"{name.replace(' ', '_')}-{seed}"
    flags = [f"--weights={WEIGHTS}", f"--train_data={setting.pack}", f"--output={output}", f"--seed={seed}"]
    with ExitStack() as stack:
        for constant, value in (COMMON | setting.constants).items():
            stack.enter_context(patch(constant, value))
        run_command("--mode=train", "--resume", "--device=cpu", "--visdom=off", *flags, *FLAGS)
    return output / "last.safetensors"


def samples(test_data: list[Path]) -> dict[str, list[Sample]]:
    """The pictures of each cell of the table; the held-out ones also with LR rounded to 8 bits, as in files."""
    forms = [(FOLDER / "held_out", False), (FOLDER / "held_out", True), *((folder, False) for folder in test_data)]
    cells = {}
    for (folder, rounded), kernel in itertools.product(forms, ("delta", "gaussian:1.7")):
        name = f"{folder.name}, `{kernel}`" + (", 8-bit LR" if rounded else "")
        cells[name] = [_sample(path, kernel, rounded) for path in list_pictures(folder)]
    return cells


def _sample(path: Path, kernel: str, rounded: bool) -> Sample:
    pixels = middle(read_picture(path).as_floats(), SIDE)
    hr = modcrop(torch.from_numpy(pixels).permute(2, 0, 1)[None], SCALE)
    told = Degradation.uniform(torch.from_numpy(parse_kernels(kernel)[0])[None], torch.zeros(1))
    return Sample(degrade(hr, told, SCALE, rounded=torch.tensor([rounded])), told, hr)


def scores(weights: Path, samples: dict[str, list[Sample]]) -> dict[str, float]:
    """Mean PSNR of Y in dB of each cell."""
    restorer = open_restorer(read_weights(weights), "cpu", precision="fp32")
    return {
        cell: round(statistics.mean(_psnr_y(restorer.restore_whole(lr, told), hr) for lr, told, hr in pictures), 4)
        for cell, pictures in samples.items()
    }


def _psnr_y(sr: Tensor, hr: Tensor) -> float:
    """PSNR of Y in dB, of SR clipped and rounded to 8 bits, without `SCALE` pixels on each side."""
    sr = (sr.clamp(0, 1) * 255).round() / 255
    sr_y, hr_y = (luma(to_array(picture.double())[SCALE:-SCALE, SCALE:-SCALE]) for picture in (sr, hr))
    return psnr(sr_y, hr_y)


def difference(rows: list[dict], name: str, cell: str) -> tuple[float, float]:
    """The mean difference of a setting from the baseline in dB, and its standard error over the seeds."""
    by_run = {(row["setting"], row["seed"]): row["scores"][cell] for row in rows}
    seeds = [seed for setting, seed in by_run if setting == name and (BASELINE, seed) in by_run]
    values = [by_run[name, seed] - by_run[BASELINE, seed] for seed in seeds]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.mean(values), error


def table(rows: list[dict], start: dict[str, float]) -> str:
    """A Markdown table: PSNR at the start and of the baseline, then the differences of the other settings."""
    baseline = [row["scores"] for row in rows if row["setting"] == BASELINE]
    means = [f"{statistics.mean(scores[cell] for scores in baseline):.3f}" for cell in start]
    lines = [f"| setting | {' | '.join(start)} |", "|---" * (len(start) + 1) + "|"]
    lines += [f"| before training | {' | '.join(f'{value:.3f}' for value in start.values())} |"]
    lines += [f"| {BASELINE} | {' | '.join(means)} |"]
    for name in list(SETTINGS)[1:]:
        differences = ("{:+.3f} ± {:.3f}".format(*difference(rows, name, cell)) for cell in start)
        lines.append(f"| {name} | {' | '.join(differences)} |")
    return "\n".join(lines)


def compare(lossy: Path, lossless: Path, test_data: list[Path]) -> None:
    """Train and score all runs that are not finished, one seed after another, and print the table."""
    link_pictures(lossy, lossless)
    results = FOLDER / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    pictures = samples(test_data)
    start = scores(WEIGHTS, pictures)
    for seed, name in itertools.product(SEEDS, SETTINGS):
        if any((row["setting"], row["seed"]) == (name, seed) for row in rows):
            continue
        make_pack(SETTINGS[name])
        rows.append({"setting": name, "seed": seed, "scores": scores(train(name, seed), pictures)})
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows, start))


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("--lossy", type=pictures_folder, required=True, help="folder of lossy pictures, such as JPEG")
    parser.add_argument(
        "--lossless", type=pictures_folder, required=True, help="folder of lossless pictures, such as PNG"
    )
    add_test_data(parser)
    options = parser.parse_args()
    with one_line_errors():
        compare(options.lossy, options.lossless, options.test_data)
