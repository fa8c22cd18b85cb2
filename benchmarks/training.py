"""Where the time of a training step goes, and crops a second beside a straightforward loader.

    python -m benchmarks.training              # a minute; a table, and `ratio NAME X.XX` lines
    python -m benchmarks.training pictures     # the same with pictures of your own

The straightforward loader does what common SRMD code does: it blurs a whole picture with SciPy, then downsamples it,
then crops. Ratios are taken in turns within one run, for machines drift. With a GPU the step is that of 128 patches of
48×48, and the share of the rate of a large matrix product that it reaches is shown.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.ndimage
import torch

from srmd.backends.device import processor_description
from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures, open_training_data
from srmd.degradation import imresize
from srmd.kernel.families import random_kernels
from srmd.model import SRMD
from srmd.solver import Solver
from srmd.train.batches import Batch
from srmd.train.memory import PicturesInMemory
from srmd.train.soap import PRECONDITION_FREQUENCY

Key = TypeVar("Key")
ROUNDS = 5
STRAIGHTFORWARD = 4  # crops of such a batch, which take a second or two
ASKED_CROPS = 2000  # a second, from disk
ASKED_SHARE = 0.9  # of a step, for the network
ASKED_RATE = 0.4  # of that of a large matrix product, for a step on a GPU
MATRIX = 8192  # rows and columns of the product whose rate is the measure


def straightforward_batch(pictures: PackedPictures, rng: np.random.Generator, config: TrainConfig) -> np.ndarray:
    """LR patches (N, 3, h, w): each from a whole picture, blurred and downsampled before it is cropped."""
    scale, patch = config.scale_factor, config.patch_size
    patches = []
    for kernel in random_kernels(rng, STRAIGHTFORWARD, scale):
        hr = pictures.picture(int(rng.integers(len(pictures)))) / 255
        blurred = np.stack([scipy.ndimage.correlate(hr[..., c], kernel, mode="nearest") for c in range(3)])
        height, width = blurred.shape[1] // scale, blurred.shape[2] // scale
        lr = imresize(torch.from_numpy(blurred)[None, :, : height * scale, : width * scale], height, width)[0].numpy()
        top, left = rng.integers(height - patch + 1), rng.integers(width - patch + 1)
        patches.append(lr[:, top : top + patch, left : left + patch])
    return np.stack(patches)


def seconds(work: Callable[[], object], calls: int = 1) -> float:
    """How long a call takes, what it queues on a GPU included."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def in_turns(works: dict[Key, Callable[[], object]], rounds: int = ROUNDS, calls: int = 1) -> dict[Key, list[float]]:
    """The seconds of a call of each work in each round, after one to warm up."""
    for work in works.values():
        work()
    times: dict[Key, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, calls))
    return times


def ratio(a: list[float], b: list[float]) -> float:
    """The median of a / b over the rounds."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def direct(solver: Solver, batch: Batch) -> None:
    """Forward and backward by PyTorch's own convolutions."""
    solver.winograd = False
    solver.forward_backward(batch)
    solver.winograd = True


def step_operations(network: SRMD, config: TrainConfig) -> float:
    """Multiplications and additions of a step's convolutions: forward, and twice as many backward.

    The first layer's input wants no gradient.
    """
    layers = [layer.conv.weight.numel() for layer in network.chain()]
    return 2 * (3 * sum(layers) - layers[0]) * config.batch_size * config.patch_size**2


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a large matrix product in bfloat16."""
    a = torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16)
    times = in_turns({"product": lambda: a @ a}, calls=10)
    return 2 * MATRIX**3 / statistics.median(times["product"])


def main(train_data: Path | None) -> None:
    """Prints the tables."""
    gpu = torch.cuda.is_available()
    size = {"batch_size": 128, "patch_size": 48} if gpu else {}
    config = TrainConfig(output=Path("unused"), visdom="off", **size)
    training, validation = open_training_data(train_data).split()
    solver = Solver(config, training, validation)
    solver.step = 1
    rng, crop, count = np.random.default_rng(0), solver.batches.crop_size, config.batch_size
    batch, in_memory = solver.batches.draw(1), PicturesInMemory(training, torch.device("cpu"))
    steps: dict[str, Callable[[], object]] = {
        "whole step": solver.training_step,
        "forward and backward": lambda: solver.forward_backward(batch),
        "optimizer and averaging": solver.optimizer_step,
    }
    if solver.winograd:
        steps["forward and backward, no Winograd"] = lambda: direct(solver, batch)
    batches: dict[str, Callable[[], object]] = {
        "making the batch": lambda: solver.batches.draw(1),
        "crops, --cache=off": lambda: training.sample(rng, count, crop),
        "crops, --cache=memory": lambda: in_memory.sample(rng, count, crop),
        "straightforward batch": lambda: straightforward_batch(training, rng, config),
    }
    if gpu:
        on_device = PicturesInMemory(training, solver.device)
        batches["crops, --cache=device"] = lambda: on_device.sample(rng, count, crop)
    times = in_turns(steps, calls=PRECONDITION_FREQUENCY[solver.device.type]) | in_turns(batches, rounds=3)
    print(f"{processor_description()}, {torch.get_num_threads()} threads; {solver.device} in {solver.precision}")
    print(f"{count} patches of {config.patch_size}×{config.patch_size}, x2, crops of {crop}×{crop}")
    for name, taken in times.items():
        value, crops = statistics.median(taken), STRAIGHTFORWARD if name == "straightforward batch" else count
        print(f"| {name}, {crops} crops | {1000 * value:.1f} ms | {crops / value:.0f} crops/s |")
    if gpu:
        rate = matrix_rate(solver.device)
        reached = step_operations(solver.network, config) / statistics.median(times["whole step"])
        print(f"{torch.cuda.get_device_name(solver.device)}: {reached / 1e12:.0f} of {rate / 1e12:.0f} TFLOP/s")
        print(f"ratio share_of_bf16_matrix_rate_over_{ASKED_RATE} {reached / rate / ASKED_RATE:.2f}")
    from_disk = count / statistics.median(times["crops, --cache=off"])
    loader = ratio(times["straightforward batch"], times["making the batch"]) * count / STRAIGHTFORWARD
    share = ratio(times["forward and backward"], times["whole step"])
    print(f"network's share of a step: {share:.3f}")
    print(f"ratio network_share_of_step_over_{ASKED_SHARE} {share / ASKED_SHARE:.2f}")
    print(f"ratio crops_per_second_from_disk_over_{ASKED_CROPS} {from_disk / ASKED_CROPS:.2f}")
    print(f"ratio crops_per_second_over_straightforward {loader:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
