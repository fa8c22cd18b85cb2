"""Gives a network a larger kernel window, for wide blur at x3 and x4, and averages it with a training from there.

    python -m benchmarks.window before.safetensors --output=converted.safetensors           # to train from
    python -m benchmarks.window before.safetensors --train_data=pictures                    # scores both
    python -m benchmarks.window before.safetensors --run=runs/wide --train_data=pictures    # and shares of a run
    python -m benchmarks.window before.safetensors --run=runs/wide --share=0.3 --output=after.safetensors

The converted network, whose first layer is reprojected to the P of the larger window, computes nearly the same as the
one before. The weights of a run that started from it are averaged with its weights: a training with small batches ends
beside the best weights. A share of 0.3 is 0.3 of the trained weights and 0.7 of the converted ones.

Scores are means of the PSNR of Y in dB on the middles of the held-out pictures. Each network is told the applied kernel
in its own window. Kernels up to the width 2.6 are 15×15, as in the score tables; wider ones are 21×21.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.average import average
from benchmarks.commands import add_train_data, command_parser, one_line_errors
from benchmarks.crops import middle
from benchmarks.ship import HELD_OUT_SIDE, KERNELS, noise_levels, read_training, with_trainings, write_changed
from srmd.base.errors import InputError, prefix_errors
from srmd.cli.values import existing, existing_file, number, output_path
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise
from srmd.evaluate.picture import to_array
from srmd.kernel.families import KERNEL_SIZE, WIDE_KERNEL_SIZE
from srmd.kernel.pca import pca_energy
from srmd.kernel.specs import parse_kernels
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.pictures.metrics import score
from srmd.restore.restorer import Restorer, open_restorer
from srmd.train.kernels import TrainingKernels, training_kernels
from srmd.train.run_folder import run_config
from srmd.weights.files import NETWORK_OF_RUN, Weights, read_weights
from srmd.weights.surgery import reproject_first_layer

CELLS = [(spec, KERNEL_SIZE) for spec in KERNELS]
WIDE_WIDTHS = (0.6, 0.8, 0.9)  # of Gaussians, in LR pixels
SHARES = (0.3, 0.5, 0.75, 1)  # of the trained weights


def converted(weights: Weights) -> Weights:
    """The weights with a window of 21×21 and its P, without further training; raises InputError if they have it."""
    size, wide = weights.network.config.kernel_size, WIDE_KERNEL_SIZE
    if size >= wide:
        raise InputError(f"expected a network with a smaller window than {wide}×{wide}, found {size}×{size}")
    kernels = TrainingKernels(wide)
    pca = torch.from_numpy(kernels.pca(weights.network.config.pca_dim))
    network = reproject_first_layer(weights.network, weights.pca, pca, kernels.sample())
    return Weights(network, pca, weights.metadata)


def trained(run: Path, start: Weights) -> Weights:
    """The network of a run that started from `start`, reprojected to its P: kernels of its own give a run another P.

    Raises InputError if the run has trained a network of another kind, or from scratch.
    """
    weights, training = read_weights(run / NETWORK_OF_RUN), read_training(run / "config.json")
    kernels = training_kernels(run_config({"resume": str(run)}))
    if weights.network.config != start.network.config or not training["weights"]:
        raise InputError(f"{run}: expected a run that started from the converted network, found another one")
    network = reproject_first_layer(weights.network, weights.pca, start.pca, kernels.sample())
    return Weights(network, start.pca, with_trainings(weights.metadata, training, network.config.conditions))


def middles(pictures: PackedPictures, scale: int) -> Iterator[Tensor]:
    """The middles of pictures, (1, 3, s·h, s·w) float64 in 0 to 1."""
    for index in range(len(pictures)):
        picture = np.ascontiguousarray(middle(pictures.picture(index), HELD_OUT_SIDE))
        yield modcrop(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255.0, scale).double()


def mean_psnr(networks: list[Restorer], hrs: list[Tensor], applied: Degradation) -> list[float]:
    """Mean PSNR of Y in dB of each network on HR pictures (1, 3, s·h, s·w); `applied` is also told."""
    scale, psnr = networks[0].config.scale, []
    for hr in hrs:
        lr = degrade(hr, applied, scale, noise=seeded_noise(0, hr, scale))
        restored = [network.restore_whole(lr, applied) for network in networks]
        psnr.append([score(to_array(sr), to_array(hr), scale)["psnr_y"] for sr in restored])
    return np.mean(psnr, 0).tolist()


def print_scores(networks: dict[str, Weights], train_data: Path | None) -> None:
    """Prints a table with a column for each network."""
    config = next(iter(networks.values())).network.config
    restorers = [open_restorer(weights, "cpu", "torch", "fp32") for weights in networks.values()]
    _, held_out = open_training_data(train_data).split()
    hrs = list(middles(held_out, config.scale))
    wide = [(f"gaussian:{width * config.scale:g}", WIDE_KERNEL_SIZE) for width in WIDE_WIDTHS]
    print("", f"| kernel, noise | {' | '.join(networks)} |", "|---" * (1 + len(networks)) + "|", sep="\n")
    for level, (spec, size) in itertools.product(noise_levels(config.conditions), CELLS + wide):
        kernel = torch.from_numpy(parse_kernels(spec, size)[0])
        psnr = mean_psnr(restorers, hrs, Degradation.uniform(kernel[None], torch.tensor([float(level)])))
        cells = " | ".join(f"{value:.3f}" for value in psnr)
        print(f"| `{spec}` ({size}×{size}), {level} | {cells} |", flush=True)


def print_energy(networks: list[Weights]) -> None:
    """Prints how much of the energy of training's kernels the codes of each network keep."""
    for weights in networks:
        kernels = TrainingKernels(weights.network.config.kernel_size).sample()
        size = "×".join(map(str, kernels.shape[1:]))
        print(f"{size}: the codes keep {pca_energy(kernels, weights.pca.numpy()):.3%} of the kernels' energy")


def share_of(run: Weights, start: Weights, share: float) -> Weights:
    """The average of a run's network and the one that it started from, with the share in its metadata."""
    mean = average(run.network, start.network, share)
    return Weights(mean, start.pca, run.metadata | {"trained_share": share})


def parsed() -> argparse.Namespace:
    """The arguments of the command."""
    parser = command_parser(__doc__)
    parser.add_argument("before", type=existing_file, help="network with a window of 15×15")
    parser.add_argument("--run", type=existing, help="folder of a run that started from the converted network")
    add_train_data(parser)
    parser.add_argument("--share", type=number(0, 1), help="share of the run's weights; with --output")
    parser.add_argument("--output", type=output_path, help="file to write, instead of scores")
    options = parser.parse_args()
    if (options.share is None) == bool(options.run and options.output):
        parser.error("expected --share where --run and --output are given, and only there")
    return options


@one_line_errors()
def main() -> None:
    """Prints a table, or writes a network."""
    options = parsed()
    before = read_weights(options.before)
    with prefix_errors(str(options.before)):
        start = converted(before)
    run = trained(options.run, start) if options.run else None
    if options.output:
        write_changed(options.output, share_of(run, start, options.share) if run else start, {}, [])
        return
    networks = {"before": before, "converted": start}
    print_energy([before, start])
    if run:
        networks |= {f"{share:g}": share_of(run, start, share) for share in SHARES}
    print_scores(networks, options.train_data)


if __name__ == "__main__":
    main()
