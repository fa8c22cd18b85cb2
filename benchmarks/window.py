"""Scores networks with kernel windows of 15×15 and 21×21 on the held-out pictures of the training data.

    python -m benchmarks.window srmd_x4 --train_data=pictures        # the shipped network, and it converted to 21×21
    python -m benchmarks.window srmd_x4 runs/wide/last.safetensors --train_data=pictures    # and a trained one

The converted network has had no further training: its first layer is reprojected to the P of the larger window. For a
trained network there is also "half of it", the means of its weights and of the converted network's. Each network is
told the applied kernel in its own window. Kernels up to the width 2.6 are 15×15, as in the score tables; wider ones are
21×21. Printed are how much of training's kernels a code keeps, the mean PSNR of Y in dB, and how far SR is from that of
the first network.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.average import average
from benchmarks.commands import add_train_data, command_parser, one_line_errors
from benchmarks.crops import middle
from benchmarks.plans import shipped
from benchmarks.ship import HELD_OUT_SIDE, KERNELS
from srmd.base.errors import InputError, prefix_errors
from srmd.cli.values import existing_file
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise
from srmd.evaluate.picture import to_array
from srmd.kernel.families import KERNEL_SIZE, WIDE_KERNEL_SIZE
from srmd.kernel.pca import pca_energy
from srmd.kernel.specs import parse_kernels
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.pictures.metrics import score
from srmd.restore.restorer import Restorer, open_restorer
from srmd.train.kernels import TrainingKernels
from srmd.weights.files import Weights, read_weights
from srmd.weights.surgery import reproject_first_layer

CELLS = [(spec, KERNEL_SIZE) for spec in KERNELS]
CELLS += [(f"gaussian:{width:g}", WIDE_KERNEL_SIZE) for width in (2.4, 3.2, 3.6)]
NOISE_LEVELS = (0, 15)


def converted(weights: Weights, size: int = WIDE_KERNEL_SIZE) -> Weights:
    """The weights with a larger kernel window and its P, without further training."""
    kernels = TrainingKernels(size)
    pca = torch.from_numpy(kernels.pca(weights.network.config.pca_dim))
    network = reproject_first_layer(weights.network, weights.pca, pca, kernels.sample())
    return Weights(network, pca, weights.metadata)


def half(first: Weights, second: Weights) -> Weights:
    """The network whose weights are the means of those of two networks with one configuration and one P."""
    if first.network.config != second.network.config or not torch.equal(first.pca, second.pca):
        raise InputError("expected a network that was trained from the converted one, found another window or P")
    return Weights(average(second.network, first.network, 0.5), first.pca, second.metadata)


def middles(pictures: PackedPictures, scale: int) -> Iterator[Tensor]:
    """The middles of pictures, (1, 3, s·h, s·w) float64 in 0 to 1."""
    for index in range(len(pictures)):
        picture = np.ascontiguousarray(middle(pictures.picture(index), HELD_OUT_SIDE))
        yield modcrop(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255.0, scale).double()


def row(networks: list[Restorer], hrs: list[Tensor], applied: Degradation) -> list[str]:
    """The cells of a table's row: PSNR of each network, and the distance of SR from the first one's, in levels of 255.

    `applied` is also told.
    """
    scale, psnr, distances = networks[0].config.scale, [], []
    for hr in hrs:
        lr = degrade(hr, applied, scale, noise=seeded_noise(0, hr, scale))
        restored = [network.restore_whole(lr, applied) for network in networks]
        psnr.append([score(to_array(sr), to_array(hr), scale)["psnr_y"] for sr in restored])
        distances.append([255 * (sr - restored[0]).abs().mean().item() for sr in restored])
    return [f"{value:.3f}" for value in np.mean(psnr, 0)] + [f"{value:.3f}" for value in np.mean(distances, 0)[1:]]


@one_line_errors()
def main() -> None:
    """Prints the table."""
    parser = command_parser(__doc__)
    parser.add_argument("name", help="name of a shipped network with a window of 15×15, such as srmd_x4")
    parser.add_argument("files", nargs="*", type=existing_file, help="further networks of its kind and scale")
    add_train_data(parser)
    options = parser.parse_args()
    first = read_weights(shipped(options.name))
    networks = {options.name: first, "converted": converted(first)}
    for weights in networks.values():
        kernels = TrainingKernels(weights.network.config.kernel_size).sample()
        size = "×".join(map(str, kernels.shape[1:]))
        print(f"{size}: the codes keep {pca_energy(kernels, weights.pca.numpy()):.3%} of the kernels' energy")
    for path in options.files:
        trained = read_weights(path)
        with prefix_errors(str(path)):
            networks |= {str(path): trained, f"half of {path}": half(networks["converted"], trained)}
    restorers = [open_restorer(weights, "cpu", "torch", "fp32") for weights in networks.values()]
    _, held_out = open_training_data(options.train_data).split()
    hrs = list(middles(held_out, first.network.config.scale))
    levels = NOISE_LEVELS if "noise" in first.network.config.conditions else NOISE_LEVELS[:1]
    distances = [f"distance of {name}" for name in [*networks][1:]]
    print(
        "",
        f"| kernel, noise | {' | '.join([*networks, *distances])} |",
        "|---" * (1 + len(networks) + len(distances)) + "|",
        sep="\n",
    )
    for (spec, size), level in itertools.product(CELLS, levels):
        kernel = torch.from_numpy(parse_kernels(spec, size)[0])
        cells = row(restorers, hrs, Degradation.uniform(kernel[None], torch.tensor([float(level)])))
        print(f"| `{spec}` ({size}×{size}), {level} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
