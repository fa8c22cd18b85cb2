"""Measures where the time of a training step goes, and how many crops per second the data loader makes.

    python -m benchmarks.training              # a minute; prints a table and `ratio NAME X.XX` lines
    python -m benchmarks.training pictures     # with the pictures of a folder instead of the built-in set

The data loader is compared with a simple one that does what much SRMD code does: it blurs a whole picture with SciPy,
downsamples it, and then crops it. Both are timed alternately, because the speed of a machine changes over minutes.
On a CPU, forward and backward are also measured beside one and two processes that keep a core busy each.
On a GPU the step has 128 patches of 48×48; its rate in operations per second is compared with that of a large matrix
product. A ratio above 1 means better than the simple loader, or better than the target in the ratio's name.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.ndimage
import torch

from benchmarks.commands import add_train_data, command_parser, one_line_errors
from benchmarks.load import LOADS, busy_processes
from srmd.backends.device import processor_description
from srmd.config import TrainConfig
from srmd.degradation import imresize
from srmd.kernel.families import random_kernels
from srmd.model import SRMD
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.solver import Solver
from srmd.train.batches import Batch
from srmd.train.memory import PicturesInMemory
from srmd.train.soap import PRECONDITION_FREQUENCY

Key = TypeVar("Key")
Times = dict[Key, list[float]]  # seconds of each round

ROUNDS = 5
BATCH_ROUNDS = 3
GPU_SIZE = {"batch_size": 128, "patch_size": 48}
SIMPLE_CROPS = 4  # in a batch of the simple loader, which takes a second or two
TARGET_CROPS_PER_SECOND = 2000  # read from disk
TARGET_NETWORK_SHARE = 0.9  # of a step's time
TARGET_RATE_SHARE = 0.4  # of a large matrix product's rate, for a step on a GPU
MATRIX_SIDE = 8192  # of the matrices in that product


def simple_batch(pictures: PackedPictures, rng: np.random.Generator, config: TrainConfig) -> np.ndarray:
    """LR patches (SIMPLE_CROPS, 3, h, w), each cropped from a whole picture that was blurred and downsampled."""
    scale, patch = config.scale_factor, config.patch_size
    patches = []
    for kernel in random_kernels(rng, SIMPLE_CROPS, scale):
        hr = pictures.picture(int(rng.integers(len(pictures)))) / 255
        blurred = np.stack([scipy.ndimage.correlate(hr[..., c], kernel, mode="nearest") for c in range(3)])
        height, width = blurred.shape[1] // scale, blurred.shape[2] // scale
        lr = imresize(torch.from_numpy(blurred)[None, :, : height * scale, : width * scale], height, width)[0].numpy()
        top, left = rng.integers(height - patch + 1), rng.integers(width - patch + 1)
        patches.append(lr[:, top : top + patch, left : left + patch])
    return np.stack(patches)


def seconds_per_call(function: Callable[[], object], calls: int = 1) -> float:
    """Mean seconds of a call, including the work that it queues on a GPU."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def time_alternately(functions: dict[Key, Callable[[], object]], rounds: int = ROUNDS, calls: int = 1) -> Times:
    """Seconds per call of each function, in rounds that call all of them; a call of each before is not counted."""
    for function in functions.values():
        function()
    times: Times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(seconds_per_call(function, calls))
    return times


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median over the rounds of numerator / denominator."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def forward_backward_without_winograd(solver: Solver, batch: Batch) -> None:
    """Forward and backward pass with PyTorch's convolutions."""
    solver.winograd = False
    solver.forward_backward(batch)
    solver.winograd = True


def step_operations(network: SRMD, config: TrainConfig) -> float:
    """Multiplications and additions of the convolutions in a training step.

    The backward pass takes twice as many as the forward pass, except in the first layer, whose input needs no gradient.
    """
    weights = [layer.conv.weight.numel() for layer in network.chain()]
    return 2 * (3 * sum(weights) - weights[0]) * config.batch_size * config.patch_size**2


def matrix_product_rate(device: torch.device, side: int = MATRIX_SIDE) -> float:
    """Operations per second of a product of large matrices, side×side, in bfloat16."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    times = time_alternately({"product": lambda: matrix @ matrix}, calls=10)
    return 2 * side**3 / statistics.median(times["product"])


def time_steps(solver: Solver) -> Times:
    """Seconds of a training step and of its parts."""
    batch = solver.batches.draw(1)
    functions: dict[str, Callable[[], object]] = {
        "whole step": solver.training_step,
        "forward and backward": lambda: solver.forward_backward(batch),
        "optimizer and EMA": solver.optimizer_step,
    }
    if solver.winograd:
        functions["forward and backward, no Winograd"] = lambda: forward_backward_without_winograd(solver, batch)
    # This many calls contain one step that updates SOAP's bases, which is slower.
    return time_alternately(functions, calls=PRECONDITION_FREQUENCY[solver.device.type])


def time_under_load(solver: Solver) -> dict[str, list[float]]:
    """Seconds of forward and backward, with and without Winograd's algorithm, on a busy machine."""
    batch = solver.batches.draw(1)
    functions = {
        "forward and backward": lambda: solver.forward_backward(batch),
        "forward and backward, no Winograd": lambda: forward_backward_without_winograd(solver, batch),
    }
    times = {}
    for load in LOADS:
        with busy_processes(load):
            for name, seconds in time_alternately(functions).items():
                times[f"{name}, {LOADS[load]}"] = seconds
    return times


def time_batches(solver: Solver, pictures: PackedPictures) -> Times:
    """Seconds of drawing a batch, of its crops with each kind of cache, and of the simple loader."""
    config, rng = solver.config, np.random.default_rng(0)
    count, crop_size = config.batch_size, solver.batches.crop_size
    in_memory = PicturesInMemory(pictures, torch.device("cpu"))
    functions: dict[str, Callable[[], object]] = {
        "whole batch": lambda: solver.batches.draw(1),
        "crops, --cache=off": lambda: pictures.sample(rng, count, crop_size),
        "crops, --cache=memory": lambda: in_memory.sample(rng, count, crop_size),
        "batch of the simple loader": lambda: simple_batch(pictures, rng, config),
    }
    if solver.device.type == "cuda":
        on_device = PicturesInMemory(pictures, solver.device)
        functions["crops, --cache=device"] = lambda: on_device.sample(rng, count, crop_size)
    return time_alternately(functions, rounds=BATCH_ROUNDS)


def print_table(solver: Solver, times: Times) -> None:
    """Prints the machine, the size of a step, and the median time of each part."""
    config, crop_size = solver.config, solver.batches.crop_size
    threads = torch.get_num_threads()
    print(f"{processor_description()}, {threads} threads; {solver.device} in {solver.precision}")
    patches = f"{config.batch_size} patches of {config.patch_size}×{config.patch_size}"
    print(f"{patches}, x{config.scale_factor}, crops of {crop_size}×{crop_size}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        crops = SIMPLE_CROPS if name == "batch of the simple loader" else config.batch_size
        print(f"| {name}, {crops} crops | {1000 * median:.1f} ms | {crops / median:.0f} crops/s |")


def print_gpu_ratio(solver: Solver, times: Times) -> None:
    """Prints the rate of a step on a GPU beside that of a large matrix product."""
    matrix_rate = matrix_product_rate(solver.device)
    step_rate = step_operations(solver.network, solver.config) / statistics.median(times["whole step"])
    name = torch.cuda.get_device_name(solver.device)
    print(f"{name}: {step_rate / 1e12:.0f} TFLOP/s; matrix product: {matrix_rate / 1e12:.0f} TFLOP/s")
    ratio = step_rate / matrix_rate / TARGET_RATE_SHARE
    print(f"ratio share_of_bf16_matrix_rate_over_{TARGET_RATE_SHARE} {ratio:.2f}")


def print_ratios(solver: Solver, times: Times) -> None:
    """Prints the network's share of a step, and the data loader's speed."""
    count = solver.config.batch_size
    from_disk = count / statistics.median(times["crops, --cache=off"])
    speedup = median_ratio(times["batch of the simple loader"], times["whole batch"]) * count / SIMPLE_CROPS
    share = median_ratio(times["forward and backward"], times["whole step"])
    print(f"network's share of a step: {share:.3f}")
    print(f"ratio network_share_of_step_over_{TARGET_NETWORK_SHARE} {share / TARGET_NETWORK_SHARE:.2f}")
    print(f"ratio crops_per_second_from_disk_over_{TARGET_CROPS_PER_SECOND} {from_disk / TARGET_CROPS_PER_SECOND:.2f}")
    print(f"ratio crops_per_second_over_simple_loader {speedup:.2f}")


@one_line_errors()
def main() -> None:
    """Prints the table, then the ratios."""
    parser = command_parser(__doc__)
    add_train_data(parser, "train_data", nargs="?")
    size = GPU_SIZE if torch.cuda.is_available() else {}
    training, validation = open_training_data(parser.parse_args().train_data).split()
    solver = Solver(TrainConfig(output=Path("unused"), visdom="off", **size), training, validation)
    solver.step = 1
    times = time_steps(solver) | time_batches(solver, training)
    if solver.winograd:
        times |= time_under_load(solver)
    print_table(solver, times)
    if solver.device.type == "cuda":
        print_gpu_ratio(solver, times)
    print_ratios(solver, times)


if __name__ == "__main__":
    main()
