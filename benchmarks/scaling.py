"""Cost as work grows: seconds per LR megapixel of restoring and of training, over three sizes each, in float32.

    python -m benchmarks.scaling    # under a minute; a table, `ratio NAME X.XX` lines, and img/scaling.png

Flat within 15 %: the dearest megapixel costs at most 1.15 times what the cheapest does. A ratio is 1.15 over that.
"""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.training import in_turns
from srmd.backends.device import processor_description
from srmd.base.files import atomic_write
from srmd.config import TrainConfig
from srmd.data_loader import open_training_data
from srmd.degradation import Degradation
from srmd.kernel.families import delta
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.restore.restorer import open_restorer
from srmd.solver import Solver
from srmd.weights.files import Weights

ROOT = Path(__file__).parents[1]
SIDES = (256, 512, 768)  # LR pixels; the largest is restored in four tiles
BATCH_SIZES = (4, 8, 16)
ROUNDS = 3
FLAT = 1.15  # the dearest megapixel over the cheapest, at most


def restoring() -> tuple[str, dict[int, Callable[[], object]]]:
    """How pictures are restored, and the work by the LR pixels that it takes in."""
    weights = Weights(SRMD(NetworkConfig()), torch.from_numpy(pca_matrix()))
    restorer = open_restorer(weights, device="cpu", precision="fp32")
    assumed = Degradation.uniform(torch.from_numpy(delta())[None].float(), torch.zeros(1))
    pictures = [np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8) for side in SIDES]

    def restore(lr: np.ndarray) -> None:
        for _ in restorer.restore_tiles(lr, assumed):
            pass

    return str(restorer.backend), {lr[..., 0].size: partial(restore, lr) for lr in pictures}


def training() -> tuple[str, dict[int, Callable[[], object]]]:
    """How the network is trained, and a step by the LR pixels that it takes in."""
    steps, winograd = {}, None
    for batch_size in BATCH_SIZES:
        config = TrainConfig(output=Path("unused"), visdom="off", device="cpu", precision="fp32", batch_size=batch_size)
        solver = Solver(config, *open_training_data(None).split())
        winograd = solver.winograd if winograd is None else winograd
        solver.winograd, solver.step = winograd, 1  # one backend for all sizes
        steps[batch_size * config.patch_size**2] = solver.training_step
    return f"torch{' winograd' if winograd else ''} fp32 cpu", steps


def draw(costs: dict[str, dict[int, float]], path: Path) -> None:
    """Seconds per megapixel over megapixels, a panel each, with 15 % about the middle."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for panel, (name, cost) in zip(figure.subplots(1, len(costs)), costs.items(), strict=True):
        middle = (min(cost.values()) + max(cost.values())) / 2
        panel.axhspan(middle * 0.925, middle * 1.075, color="tab:blue", alpha=0.12, lw=0, label="15 %")
        panel.plot([pixels / 1e6 for pixels in cost], list(cost.values()), "o-", color="tab:blue")
        panel.set(title=name, xlabel="LR megapixels", ylabel="seconds per LR megapixel", xscale="log")
        panel.set_ylim(0, 1.3 * max(cost.values()))
        panel.set_xticks([pixels / 1e6 for pixels in cost], [f"{pixels / 1e6:.2g}" for pixels in cost])
        panel.minorticks_off()
        panel.legend(loc="lower right")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main() -> None:
    """Prints the table and draws the picture."""
    print(f"{processor_description()}, {torch.get_num_threads()} threads")
    costs, ratios = {}, {}
    for name, (backend, works) in {"restoring": restoring(), "training": training()}.items():
        times = in_turns(works, ROUNDS)
        cost = {pixels: 1e6 * statistics.median(taken) / pixels for pixels, taken in times.items()}
        for pixels, value in cost.items():
            print(f"| {name}, {backend} | {pixels / 1e6:.3f} megapixels | {value:.2f} s per megapixel |")
        costs[f"{name}, {backend}"], ratios[name] = cost, max(cost.values()) / min(cost.values())
    draw(costs, ROOT / "img" / "scaling.png")
    for name, value in ratios.items():
        print(f"{name}: the dearest megapixel over the cheapest: {value:.2f}")
        print(f"ratio {name}_flat_within_{FLAT} {FLAT / value:.2f}")


if __name__ == "__main__":
    main()
