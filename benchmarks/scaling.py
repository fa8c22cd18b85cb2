"""Measures how the cost of restoring and of training grows with size: seconds per LR megapixel, in float32.

    python -m benchmarks.scaling    # under a minute; prints a table and `ratio NAME X.XX` lines, draws img/scaling.png

Each is timed with three sizes. The target is a cost per megapixel that varies by at most 15 % between them. A ratio is
1.15 divided by highest cost / lowest cost: above 1, the target is met.
"""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.commands import command_parser
from benchmarks.training import time_alternately
from srmd.backends.device import processor_description
from srmd.base.files import atomic_write
from srmd.config import TrainConfig
from srmd.degradation import Degradation
from srmd.kernel.families import delta
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.packs.training_data import open_training_data
from srmd.restore.restorer import open_restorer
from srmd.solver import Solver
from srmd.weights.files import Weights

ROOT = Path(__file__).parents[1]
SIDES = (256, 512, 768)  # LR pixels; a picture with the last one is restored in four tiles
BATCH_SIZES = (4, 8, 16)
ROUNDS = 3
MAX_COST_RATIO = 1.15  # highest / lowest cost per megapixel

Functions = dict[int, Callable[[], object]]  # by the number of LR pixels that a call processes


def restoring() -> tuple[str, Functions]:
    """The name of the backend, and functions that restore pictures of the three sizes."""
    weights = Weights(SRMD(NetworkConfig()), torch.from_numpy(pca_matrix()))
    restorer = open_restorer(weights, device="cpu", precision="fp32")
    assumed = Degradation.uniform(torch.from_numpy(delta())[None].float(), torch.zeros(1))
    pictures = [np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8) for side in SIDES]

    def restore(lr: np.ndarray) -> None:
        for _ in restorer.restore_tiles(lr, assumed):
            pass

    return str(restorer.backend), {lr[..., 0].size: partial(restore, lr) for lr in pictures}


def training() -> tuple[str, Functions]:
    """The name of the backend, and training steps with the three batch sizes."""
    steps, winograd = {}, None
    for batch_size in BATCH_SIZES:
        config = TrainConfig(output=Path("unused"), visdom="off", device="cpu", precision="fp32", batch_size=batch_size)
        solver = Solver(config, *open_training_data(None).split())
        if winograd is None:  # the first solver's choice is taken for all batch sizes
            winograd = solver.winograd
        solver.winograd, solver.step = winograd, 1
        steps[batch_size * config.patch_size**2] = solver.training_step
    return f"torch{' winograd' if winograd else ''} fp32 cpu", steps


def draw(costs: dict[str, dict[int, float]], path: Path) -> None:
    """Plots seconds per LR megapixel over LR megapixels, a panel for each name, with a band of ±7.5 %."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for panel, (name, cost) in zip(figure.subplots(1, len(costs)), costs.items(), strict=True):
        middle = (min(cost.values()) + max(cost.values())) / 2
        panel.axhspan(middle * 0.925, middle * 1.075, color="tab:blue", alpha=0.12, lw=0, label="15 %")
        megapixels = [pixels / 1e6 for pixels in cost]
        panel.plot(megapixels, list(cost.values()), "o-", color="tab:blue")
        panel.set(title=name, xlabel="LR megapixels", ylabel="seconds per LR megapixel", xscale="log")
        panel.set_ylim(0, 1.3 * max(cost.values()))
        panel.set_xticks(megapixels, [f"{value:.2g}" for value in megapixels])
        panel.minorticks_off()
        panel.legend(loc="lower right")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main() -> None:
    """Prints the table and the ratios, and draws the picture."""
    print(f"{processor_description()}, {torch.get_num_threads()} threads")
    costs, cost_ratios = {}, {}
    for name, (backend, functions) in {"restoring": restoring(), "training": training()}.items():
        times = time_alternately(functions, ROUNDS)
        cost = {pixels: 1e6 * statistics.median(seconds) / pixels for pixels, seconds in times.items()}
        for pixels, value in cost.items():
            print(f"| {name}, {backend} | {pixels / 1e6:.3f} megapixels | {value:.2f} s per megapixel |")
        costs[f"{name}, {backend}"] = cost
        cost_ratios[name] = max(cost.values()) / min(cost.values())
    draw(costs, ROOT / "img" / "scaling.png")
    for name, cost_ratio in cost_ratios.items():
        print(f"{name}: highest cost per megapixel / lowest: {cost_ratio:.2f}")
        print(f"ratio {name}_flat_within_{MAX_COST_RATIO} {MAX_COST_RATIO / cost_ratio:.2f}")


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    main()
