"""Scores the networks that the paper's authors published, and compares each with a reference.

    make reproduce WEIGHTS=folder PCA=file DATA=folder
    python -m benchmarks.reproduce WEIGHTS DATA --pca=file    # the same

WEIGHTS is a folder with srmd_x2, srmdnf_x2, … in any format that `--weights` takes. DATA is a folder that contains one
or more of the folders Set5, Set14 and B100. The reference is benchmarks/published.csv: the scores of the same networks
from their ncnn files. Computes in float32; LR is not rounded. The exit code is 1 if a score differs from its reference
by more than the tolerance.
"""

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.commands import command_parser, one_line_errors
from srmd.base.errors import InputError
from srmd.degradation import Degradation, degrade, seeded_noise, upsample
from srmd.evaluate.picture import hr_tensor, to_array
from srmd.kernel.specs import parse_kernels
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import score
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import read_weights_with_pca

REFERENCE = Path(__file__).parent / "published.csv"
NETWORKS = ("SRMDNF", "SRMD")
SCALES = (2, 3, 4)
PSNR_TOLERANCE = 0.02  # dB, without noise
SSIM_TOLERANCE = 0.0005  # without noise
NOISY_PSNR_TOLERANCE = 0.1  # dB, with noise, whose samples differ from those of the reference

Networks = dict[tuple[str, int], Restorer]  # by kind, SRMD or SRMDNF, and scale


@dataclass(frozen=True)
class Setting:
    """The conditions of a score: pictures, degradation and scale."""

    data: str  # Set5, Set14 or B100
    kernel: str  # as --kernel takes it
    noise_level: int
    scale: int

    def degradation(self) -> Degradation:
        """The degradation that is applied and assumed."""
        kernel = torch.from_numpy(parse_kernels(self.kernel)[0])
        return Degradation.uniform(kernel[None], torch.tensor([float(self.noise_level)]))


@dataclass(frozen=True)
class Cell:
    """A network's scores in a setting: the reference, and those measured here."""

    setting: Setting
    network: str  # bicubic, SRMD or SRMDNF
    reference: tuple[float, float]  # PSNR of Y in dB, SSIM
    paper: str = ""  # the PSNR printed in the paper, if it has this cell
    measured: tuple[float, float] | None = None  # PSNR of Y in dB, SSIM

    @property
    def is_off(self) -> bool:
        """Whether the measured scores differ from the reference by more than the tolerance."""
        psnr_error = abs(self.measured[0] - self.reference[0])
        ssim_error = abs(self.measured[1] - self.reference[1])
        if self.setting.noise_level:
            return psnr_error > NOISY_PSNR_TOLERANCE
        return psnr_error > PSNR_TOLERANCE or ssim_error > SSIM_TOLERANCE

    def __str__(self) -> str:
        setting, (reference_psnr, reference_ssim), (psnr, ssim) = self.setting, self.reference, self.measured
        text = (
            f"{setting.data:6}{self.network:8}{setting.kernel:21}noise {setting.noise_level:<4}x{setting.scale}"
            f"  reference {reference_psnr:.3f} {reference_ssim:.5f}  measured {psnr:.3f} {ssim:.5f}"
            f"  difference {psnr - reference_psnr:+.3f} {ssim - reference_ssim:+.5f}"
        )
        return f"{text}  OFF" if self.is_off else text


def reference_cells() -> list[Cell]:
    """All cells of the reference, sorted by data, kernel and noise level."""
    lines = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [_cell(**row) for row in csv.DictReader(lines, delimiter=";")]


def _cell(
    data: str, kernel: str, noise_level: str, network: str, scale: str, psnr_y: str, ssim_y: str, paper: str
) -> Cell:
    setting = Setting(data, kernel, int(noise_level), int(scale))
    return Cell(setting, network, (float(psnr_y), float(ssim_y)), paper)


def restorers(folder: Path, pca: Path | None) -> Networks:
    """The networks in a folder; their files may be named srmd_x2, SRMDx2 or the like. InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"WEIGHTS: expected a folder of networks, found {'a file' if folder.exists() else 'nothing'}")
    files = {path.stem.lower().replace("_", ""): path for path in sorted(folder.iterdir())}
    networks = {}
    for kind in NETWORKS:
        for scale in SCALES:
            if path := files.get(f"{kind.lower()}x{scale}"):
                networks[kind, scale] = _restorer(path, pca)
    if not networks:
        raise InputError(f"WEIGHTS: expected files such as srmd_x2 and srmdnf_x2 in {folder}, found none")
    return networks


def _restorer(weights: Path, pca: Path | None) -> Restorer:
    return open_restorer(read_weights_with_pca(weights, pca), precision="fp32")


def measure(cells: list[Cell], networks: Networks, pictures: Iterable[Path]) -> list[Cell]:
    """The cells, which all have one setting, with the measured scores: means over the pictures."""
    setting, scores = cells[0].setting, {cell.network: [] for cell in cells}
    degradation, scale = setting.degradation(), setting.scale
    for path in pictures:
        hr = hr_tensor(read_picture(path), scale)
        lr = degrade(hr, degradation, scale, noise=seeded_noise(0, hr, scale))
        for name in scores:
            sr = upsample(lr, scale) if name == "bicubic" else networks[name, scale].restore_whole(lr, degradation)
            picture_scores = score(to_array(sr), to_array(hr), scale)
            scores[name].append((picture_scores["psnr_y"], picture_scores["ssim_y"]))
    return [replace(cell, measured=tuple(np.mean(scores[cell.network], axis=0).tolist())) for cell in cells]


def reproduce(data: Path, networks: Networks, cells: list[Cell]) -> Iterator[Cell]:
    """Yields the measured cells; leaves out those whose pictures or network are missing."""
    by_setting: dict[Setting, list[Cell]] = {}
    for cell in cells:
        has_network = cell.network == "bicubic" or (cell.network, cell.setting.scale) in networks
        if has_network and (data / cell.setting.data).is_dir():
            by_setting.setdefault(cell.setting, []).append(cell)
    for setting, setting_cells in by_setting.items():
        yield from measure(setting_cells, networks, list_pictures(data / setting.data))


def table(cells: list[Cell]) -> str:
    """The measured scores as a Markdown table with the three scales of a network in a row.

    The last columns are the PSNRs of the reference, and those that the paper prints.
    """
    rows: dict[tuple, dict[int, Cell]] = {}
    for cell in cells:
        setting = cell.setting
        key = setting.data, setting.kernel, setting.noise_level, cell.network
        rows.setdefault(key, {})[setting.scale] = cell
    lines = ["| pictures | kernel | noise | network | x2 | x3 | x4 | reference | paper |", "|---" * 9 + "|"]
    for (data, kernel, noise_level, network), row in rows.items():
        measured = " | ".join(_scores_text(row[scale]) if scale in row else "" for scale in SCALES)
        reference_psnr = ", ".join(f"{cell.reference[0]:.3f}" for cell in row.values())
        paper = ", ".join(cell.paper for cell in row.values() if cell.paper)
        lines.append(f"| {data} | `{kernel}` | {noise_level} | {network} | {measured} | {reference_psnr} | {paper} |")
    return "\n".join(lines)


def _scores_text(cell: Cell) -> str:
    psnr, ssim = cell.measured
    return f"{psnr:.3f} / {ssim:.5f}"


@one_line_errors()
def main(arguments: list[str]) -> int:
    """Prints each cell when it is measured, then the table, then the cells that are off.

    Returns the exit code: 1 if a cell is off.
    """
    parser = command_parser(__doc__)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="folder of networks")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder that contains Set5, Set14 or B100")
    parser.add_argument("--pca", type=Path, metavar="FILE", help="file of P, for weights files that do not contain it")
    options = parser.parse_args(arguments)
    cells, measured = reference_cells(), []
    for cell in reproduce(options.data, restorers(options.weights, options.pca), cells):
        print(cell, flush=True)
        measured.append(cell)
    if not measured:
        raise InputError(f"DATA: expected Set5, Set14 or B100 in {options.data}, found none of them")
    off = [cell for cell in measured if cell.is_off]
    print(f"\n{table(measured)}\n\n{len(measured)} of {len(cells)} cells measured, {len(off)} outside the tolerance")
    for cell in off:
        print(cell)
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
