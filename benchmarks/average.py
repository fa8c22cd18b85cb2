"""Averages the weights of a network that is told of JPEG with those of the network that it was trained from.

    python -m benchmarks.average srmdj_x4 srmd_x4 --train_data=pictures

Trainings with small batches end some noise away from the best weights, and forget a part of what the first network
knew. The weighted mean of both has less of either (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
Of several shares of the trained weights, the one is kept whose smallest gain over the trained network is largest, of
the gains for each kernel and quality: mean PSNR of Y over the middles of the held-out pictures, without noise. Prints
these scores.
"""

import argparse
import itertools
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from numpy.typing import NDArray

from benchmarks.jpeg_scores import KERNELS, QUALITIES
from benchmarks.plans import shipped
from benchmarks.ship import held_out_part
from srmd.cli.values import existing
from srmd.degradation import degrade_picture
from srmd.model import SRMD
from srmd.packs.training_data import open_training_data
from srmd.pictures.metrics import score
from srmd.restore.restorer import open_restorer
from srmd.weights.files import Weights, read_weights, write_weights
from srmd.weights.surgery import empty_network, initialise_from

SHARES = (1, 0.9, 0.8, 0.7)  # 1: the trained network itself
CELLS = list(itertools.product(KERNELS, QUALITIES))


def average(trained: SRMD, source: SRMD, share: float) -> SRMD:
    """The network with `share` of the trained weights and the rest of the source's; conditions it lacks have zeros."""
    start, mean = SRMD(trained.config), empty_network(trained.config)
    initialise_from(start, source)
    pairs = zip(trained.state_dict().items(), start.state_dict().values(), strict=True)
    mean.load_state_dict({key: share * weight + (1 - share) * before for (key, weight), before in pairs}, assign=True)
    return mean


def cell_scores(weights: Weights, pictures: list[NDArray]) -> list[float]:
    """Mean PSNR of Y in dB for each kernel and quality."""
    restorer, scale = open_restorer(weights, "cpu", "torch", "fp32"), weights.network.config.scale
    means = []
    for kernel, quality in CELLS:
        psnr = []
        for hr in pictures:
            lr = degrade_picture(hr, kernel, scale=scale, jpeg=quality)
            psnr.append(score(restorer.restore(lr, kernel, 0, jpeg=quality) / 255, hr / 255, scale)["psnr_y"])
        means.append(statistics.mean(psnr))
    return means


def held_out_pictures(train_data: Path | None, scale: int) -> list[NDArray]:
    """The middles of the held-out pictures, whose sides are multiples of the scale."""
    _, pictures = open_training_data(train_data).split()
    middles = [held_out_part(pictures.picture(index)) for index in range(len(pictures))]
    return [middle[: len(middle) // scale * scale, : middle.shape[1] // scale * scale] for middle in middles]


def main() -> None:
    """Prints the scores of each share, and writes the best network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the shipped network that was trained, such as srmdj_x4")
    parser.add_argument("source", help="name of the shipped network that it was trained from")
    parser.add_argument("--train_data", type=existing, help="folder of pictures or .h5 file (default: built-in set)")
    parser.add_argument("--output", type=Path, help="file to write (default: the shipped network is replaced)")
    options = parser.parse_args()
    trained, source = (read_weights(shipped(name)) for name in (options.name, options.source))
    pictures = held_out_pictures(options.train_data, trained.network.config.scale)
    print(f"| share | {' | '.join(f'{kernel}, {quality}' for kernel, quality in CELLS)} | smallest gain |")
    print("|---" * (len(CELLS) + 2) + "|")
    candidates, psnr, gains = {}, {}, {}
    for share in SHARES:
        candidates[share] = replace(trained, network=average(trained.network, source.network, share))
        psnr[share] = cell_scores(candidates[share], pictures)
        gains[share] = min(after - before for after, before in zip(psnr[share], psnr[1], strict=True))
        print(f"| {share:g} | {' | '.join(f'{cell:.2f}' for cell in psnr[share])} | {gains[share]:+.2f} |", flush=True)
    best = max(gains, key=gains.get)
    flag = f" --train_data={options.train_data}" if options.train_data else ""
    command = f"python -m benchmarks.average {options.name} {options.source}{flag}"
    metadata = trained.metadata | {"average": {"share": best, "source": options.source, "command": command}}
    write_weights(options.output or shipped(options.name), replace(candidates[best], metadata=metadata), torch.float16)


if __name__ == "__main__":
    main()
