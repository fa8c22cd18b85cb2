"""Where the time of a training step goes, and crops a second beside a straightforward loader.

    python -m benchmarks.training    # about a minute; prints a table, and `ratio NAME X.XX` lines

The straightforward loader does what common SRMD code does: it blurs a whole picture with SciPy, then downsamples it,
then crops. Ratios are taken in turns within one run, for machines drift.
"""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch

from config import TrainConfig
from data_loader import PackedPictures, open_training_data
from degradation import imresize
from kernel import random_kernels
from solver import Solver

ROUNDS = 5


def straightforward_batch(pictures: PackedPictures, rng: np.random.Generator, config: TrainConfig) -> np.ndarray:
    """LR patches (N, 3, h, w): each from a whole picture, blurred and downsampled before it is cropped."""
    scale, patch = config.scale_factor, config.patch_size
    patches = []
    for kernel in random_kernels(rng, config.batch_size, scale):
        hr = pictures.picture(int(rng.integers(len(pictures)))) / 255
        blurred = np.stack([scipy.ndimage.correlate(hr[..., c], kernel, mode="nearest") for c in range(3)])
        height, width = blurred.shape[1] // scale, blurred.shape[2] // scale
        lr = imresize(torch.from_numpy(blurred)[None, :, : height * scale, : width * scale], height, width)[0].numpy()
        top, left = rng.integers(height - patch + 1), rng.integers(width - patch + 1)
        patches.append(lr[:, top : top + patch, left : left + patch])
    return np.stack(patches)


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Prints the tables."""
    config = TrainConfig(output=Path("unused"), visdom="off")
    solver = Solver(config)
    solver.load()
    solver.begin(*open_training_data(None).split())
    rng = np.random.default_rng(0)
    pictures, crop = solver.batches.pictures, solver.batches.crop
    batch = solver.batches.draw(1)
    solver.step = 1
    parts: dict[str, Callable[[], object]] = {
        "whole step": solver.training_step,
        "forward and backward": lambda: solver.backward(batch),
        "making the batch": lambda: solver.batches.draw(1),
        "crops from HDF5": lambda: pictures.sample(rng, config.batch_size, crop),
        "optimizer and averaging": solver.update,
        "straightforward batch": lambda: straightforward_batch(pictures, rng, config),
    }
    for work in parts.values():
        work()
    times = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, work in parts.items():
            times[name].append(seconds(work))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {solver.precision}")
    for name, value in median.items():
        print(f"| {name} | {1000 * value:.1f} ms | {config.batch_size / value:.0f} crops/s |")
    network = statistics.median(a / b for a, b in zip(times["forward and backward"], times["whole step"], strict=True))
    loader = statistics.median(
        a / b for a, b in zip(times["straightforward batch"], times["making the batch"], strict=True)
    )
    print(f"ratio network_share_of_step {network:.2f}")
    print(f"ratio crops_per_second_over_straightforward {loader:.2f}")


if __name__ == "__main__":
    main()
