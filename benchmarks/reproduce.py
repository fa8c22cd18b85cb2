"""Scores the published networks as their tables were made, theirs beside ours; ends with 1 where a figure is off.

    make reproduce WEIGHTS=folder PCA=file DATA=folder
    python -m benchmarks.reproduce folder folder --pca=file    # the same: WEIGHTS, then DATA

WEIGHTS holds srmd_x2, srmdnf_x2, … in any format that `--weights` takes; DATA holds the folders Set5, Set14 and B100,
or some of them. Always in float32, LR not rounded. What is compared with lies in published.csv.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from srmd.base.errors import InputError
from srmd.cli.console import one_line
from srmd.degradation import Degradation, degrade, seeded_noise, upsample
from srmd.evaluate.picture import hr_tensor, to_array
from srmd.kernel.specs import parse_kernels
from srmd.pictures.files import list_pictures, read_picture
from srmd.pictures.metrics import score
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import read_weights_with_pca

PUBLISHED = Path(__file__).parent / "published.csv"
NETWORKS = ("SRMDNF", "SRMD")
SCALES = (2, 3, 4)
PSNR_TOLERANCE, SSIM_TOLERANCE = 0.02, 0.0005  # without noise
NOISY_PSNR_TOLERANCE = 0.1  # the noise is a draw


@dataclass(frozen=True)
class Setting:
    """Pictures, what is done to them, and the scale."""

    data: str
    kernel: str
    noise_level: int
    scale: int

    def degradation(self) -> Degradation:
        """The same as the house has it."""
        kernel = torch.from_numpy(parse_kernels(self.kernel)[0])
        return Degradation.uniform(kernel[None], torch.tensor([float(self.noise_level)]))


@dataclass(frozen=True)
class Cell:
    """A figure of the tables, and the one that came out here."""

    setting: Setting
    network: str  # bicubic, SRMD or SRMDNF
    theirs: tuple[float, float]  # PSNR of Y in dB, SSIM
    paper: str = ""  # the PSNR that the paper prints, where it does
    ours: tuple[float, float] | None = None

    @property
    def is_off(self) -> bool:
        """Whether ours is outside the tolerance."""
        psnr, ssim = (abs(ours - theirs) for ours, theirs in zip(self.ours, self.theirs, strict=True))
        if self.setting.noise_level:
            return psnr > NOISY_PSNR_TOLERANCE
        return psnr > PSNR_TOLERANCE or ssim > SSIM_TOLERANCE

    def __str__(self) -> str:
        s, (psnr, ssim), (our_psnr, our_ssim) = self.setting, self.theirs, self.ours
        return (
            f"{s.data:6}{self.network:8}{s.kernel:21}noise {s.noise_level:<4}x{s.scale}  theirs {psnr:.3f} {ssim:.5f}"
            f"  ours {our_psnr:.3f} {our_ssim:.5f}  {our_psnr - psnr:+.3f} {our_ssim - ssim:+.5f}"
            f"{'  OFF' * self.is_off}"
        )


def published() -> list[Cell]:
    """Every cell of the published tables, by data, kernel and noise level."""
    lines = [line for line in PUBLISHED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [_cell(**row) for row in csv.DictReader(lines, delimiter=";")]


def _cell(data: str, kernel: str, noise_level: str, network: str, scale: str, psnr_y: str, ssim_y: str, paper: str):
    setting = Setting(data, kernel, int(noise_level), int(scale))
    return Cell(setting, network, (float(psnr_y), float(ssim_y)), paper)


def restorers(folder: Path, pca: Path | None) -> dict[tuple[str, int], Restorer]:
    """The networks of a folder by name and scale: srmd_x2, SRMDNFx3 and the like, whatever their format."""
    if not folder.is_dir():
        raise InputError(f"WEIGHTS: expected a folder of networks, found {'a file' if folder.exists() else 'nothing'}")
    files = {path.stem.lower().replace("_", ""): path for path in sorted(folder.iterdir())}
    wanted = [(name, scale) for name in NETWORKS for scale in SCALES if f"{name.lower()}x{scale}" in files]
    if not wanted:
        raise InputError(f"WEIGHTS: expected srmd_x2, srmdnf_x2 and the like in {folder}, found none of them")
    return {(name, scale): _restorer(files[f"{name.lower()}x{scale}"], pca) for name, scale in wanted}


def _restorer(weights: Path, pca: Path | None) -> Restorer:
    return open_restorer(read_weights_with_pca(weights, pca), precision="fp32")


def measure(cells: list[Cell], networks: dict[tuple[str, int], Restorer], pictures: Iterable[Path]) -> list[Cell]:
    """The cells, all of one setting, with what came out here."""
    setting, scores = cells[0].setting, {cell.network: [] for cell in cells}
    degradation, scale = setting.degradation(), setting.scale
    for path in pictures:
        hr = hr_tensor(read_picture(path), scale)
        lr = degrade(hr, degradation, scale, noise=seeded_noise(0, hr, scale))
        for name in scores:
            sr = upsample(lr, scale) if name == "bicubic" else networks[name, scale].restore_whole(lr, degradation)
            found = score(to_array(sr), to_array(hr), scale)
            scores[name].append((found["psnr_y"], found["ssim_y"]))
    return [replace(cell, ours=tuple(np.mean(scores[cell.network], axis=0).tolist())) for cell in cells]


def reproduce(data: Path, networks: dict[tuple[str, int], Restorer], cells: list[Cell]) -> Iterator[Cell]:
    """Measures the cells that there are pictures and a network for."""
    there = [cell for cell in cells if cell.network == "bicubic" or (cell.network, cell.setting.scale) in networks]
    for name, of_data in itertools.groupby(there, lambda cell: cell.setting.data):
        if not (data / name).is_dir():
            continue
        pictures = list_pictures(data / name)
        by_setting: dict[Setting, list[Cell]] = {}
        for cell in of_data:
            by_setting.setdefault(cell.setting, []).append(cell)
        for group in by_setting.values():
            yield from measure(group, networks, pictures)


def table(cells: list[Cell]) -> str:
    """The measured cells for the README, three scales a row, and what the paper printed."""
    rows: dict[tuple, dict[int, Cell]] = {}
    for cell in cells:
        s = cell.setting
        rows.setdefault((s.data, s.kernel, s.noise_level, cell.network), {})[s.scale] = cell
    lines = ["| pictures | kernel | noise | network | x2 | x3 | x4 | theirs | paper |", "|---" * 9 + "|"]
    for (data, kernel, noise_level, network), row in rows.items():
        ours = " | ".join("{:.3f} / {:.5f}".format(*row[s].ours) if s in row else "" for s in SCALES)
        theirs = ", ".join(f"{cell.theirs[0]:.3f}" for cell in row.values())
        paper = ", ".join(cell.paper for cell in row.values() if cell.paper)
        lines.append(f"| {data} | `{kernel}` | {noise_level} | {network} | {ours} | {theirs} | {paper} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Prints each cell as it comes out, then the table; 1 where a figure is off, 2 where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="folder of networks")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder that holds Set5, Set14, B100 or some of them")
    parser.add_argument("--pca", type=Path, metavar="FILE", help="P, for weights that carry none")
    options = parser.parse_args(arguments)
    cells, measured = published(), []
    try:
        for cell in reproduce(options.data, restorers(options.weights, options.pca), cells):
            print(cell, flush=True)
            measured.append(cell)
        if not measured:
            raise InputError(f"DATA: expected Set5, Set14 or B100 in {options.data}, found none of them")
    except InputError as error:
        print(one_line(error), file=sys.stderr)
        return 2
    off = [cell for cell in measured if cell.is_off]
    print(f"\n{table(measured)}\n\n{len(measured)} of {len(cells)} figures measured, {len(off)} outside the tolerance")
    for cell in off:
        print(cell)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
