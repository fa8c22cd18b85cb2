"""Averages the weights of a network that is told of JPEG with those of the network that it was trained from.

    python -m benchmarks.average srmdj_x4 srmd_x4 --train_data=pictures --test_data Set5 Set14 B100
    python -m benchmarks.average srmdj_x1 before.safetensors --share=0.5    # without a choice

A training with small batches ends beside the best weights, and it loses a part of what the first network had learned.
The weighted mean of both networks loses less (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

Each share of the trained weights is scored on the middles of the held-out pictures: mean PSNR of Y for each kernel and
each quality, without noise. Its gain is the smallest of the differences from the trained network. The average with the
largest gain is written; if no average is better than the trained network everywhere, nothing is.
"""

import argparse
import itertools
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.commands import add_test_data, add_train_data, command_parser, one_line_errors
from benchmarks.crops import middle, modcrop_picture
from benchmarks.jpeg_cells import KERNELS, QUALITIES, Cell
from benchmarks.plans import shipped
from benchmarks.ship import HELD_OUT_SIDE, write_changed
from srmd.base.errors import InputError
from srmd.cli.values import number, output_path
from srmd.model import SRMD
from srmd.packs.training_data import open_training_data
from srmd.pictures.metrics import score
from srmd.restore.restorer import open_restorer
from srmd.weights.files import Weights, read_weights
from srmd.weights.surgery import empty_network, initialise_from

SHARES = (0.9, 0.8, 0.7)  # of the trained weights


def average(trained: SRMD, source: SRMD, share: float) -> SRMD:
    """The network with `share` of the trained weights and the rest of the source's.

    For a condition that the source is not told, the source's weights count as 0.
    """
    start, mean = SRMD(trained.config), empty_network(trained.config)
    initialise_from(start, source)
    pairs = zip(trained.state_dict().items(), start.state_dict().values(), strict=True)
    mean.load_state_dict({key: share * weight + (1 - share) * before for (key, weight), before in pairs}, assign=True)
    return mean


def held_out_cells(train_data: Path | None, scale: int) -> list[Cell]:
    """The middles of the held-out pictures with each kernel and quality."""
    _, pictures = open_training_data(train_data).split()
    middles = [middle(pictures.picture(index), HELD_OUT_SIDE) for index in range(len(pictures))]
    hr = [modcrop_picture(picture, scale) for picture in middles]
    pairs = itertools.product(KERNELS, QUALITIES)
    return [Cell("held out", kernel, quality, hr, scale) for kernel, quality in pairs]


def cell_scores(weights: Weights, cells: list[Cell]) -> list[float]:
    """Mean PSNR of Y in dB for each cell."""
    restorer, means = open_restorer(weights, "cpu", "torch", "fp32"), []
    for cell in cells:
        srs = [restorer.restore(lr, cell.kernel, 0, jpeg=cell.quality) for lr in cell.lr]
        pairs = zip(srs, cell.hr, strict=True)
        means.append(statistics.mean(score(sr / 255, hr / 255, cell.scale)["psnr_y"] for sr, hr in pairs))
    return means


def best_share(trained: Weights, source: SRMD, cells: list[Cell]) -> float:
    """The share with the largest gain: 1 if no average gains. Prints a table with a row for each share."""
    print(f"| share | {' | '.join(f'{cell.kernel}, {cell.quality}' for cell in cells)} | gain |")
    print("|---" * (len(cells) + 2) + "|")
    before, gains = cell_scores(trained, cells), {1.0: 0.0}
    print(_row(1, before, 0))
    for share in SHARES:
        psnr = cell_scores(replace(trained, network=average(trained.network, source, share)), cells)
        gains[share] = min(new - old for new, old in zip(psnr, before, strict=True))
        print(_row(share, psnr, gains[share]), flush=True)
    return max(gains, key=gains.get)


def _row(share: float, psnr: list[float], gain: float) -> str:
    return f"| {share:g} | {' | '.join(f'{mean:.2f}' for mean in psnr)} | {gain:+.3f} |"


def read_pair(name: str, source_name: str) -> tuple[Weights, Weights]:
    """The trained network and its source; raises InputError if they cannot be averaged."""
    source_path = Path(source_name) if source_name.endswith(".safetensors") else shipped(source_name)
    trained, source = read_weights(shipped(name)), read_weights(source_path)
    if changed := {"average", "colours"} & trained.metadata.keys():
        raise InputError(f"{name}: expected a network as its training left it, found {', '.join(sorted(changed))}")
    config = replace(source.network.config, conditions=trained.network.config.conditions)
    if config != trained.network.config or not torch.equal(source.pca, trained.pca):
        raise InputError(f"{source_name}: expected scale, sizes and P of {name}, found others")
    return trained, source


def run(options: argparse.Namespace) -> None:
    """Writes the best average, if it is better than the trained network."""
    trained, source = read_pair(options.name, options.source)
    share = options.share
    if share is None:
        cells = held_out_cells(options.train_data, trained.network.config.scale)
        share = best_share(trained, source.network, cells)
        if share == 1:
            print("nothing is written: no average is better than the trained network everywhere")
            return
    flags = [f"--{name}={value}" for name in ("train_data", "share") if (value := getattr(options, name)) is not None]
    command = " ".join(["python -m benchmarks.average", options.name, options.source, *flags])
    mean = replace(trained, network=average(trained.network, source.network, share))
    changes = {"average": {"share": share, "source": options.source, "command": command}}
    write_changed(options.output or shipped(options.name), mean, changes, options.test_data)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The arguments of the command."""
    parser = command_parser(__doc__)
    parser.add_argument("name", help="name of the shipped network that was trained, such as srmdj_x4")
    parser.add_argument("source", help="shipped network, or file.safetensors, that it was trained from")
    add_train_data(parser)
    parser.add_argument("--share", type=number(0, 1), help="share of the trained weights (default: the best one)")
    add_test_data(parser)
    parser.add_argument("--output", type=output_path, help="file to write (default: the shipped network is replaced)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with one_line_errors():
        run(parsed(sys.argv[1:]))
