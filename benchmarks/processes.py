"""Compares the training step of several processes with that of one, in alternation, and with a model of its cost.

    torchrun --nproc_per_node=2 -m benchmarks.processes                            # on CPUs, or a GPU for each process
    torchrun --nproc_per_node=2 -m benchmarks.processes --batch_size=8 --rounds=9

The first process takes a step of the whole batch, while the others wait; then all take a step of which each computes
its part. Times are medians. Processor time, the sum over the processes, depends less on other programs.
"""

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.commands import add_train_data, command_parser, one_line_errors
from srmd.base.distributed import Processes
from srmd.cli.values import whole
from srmd.config import TrainConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.solver import Solver
from srmd.train.run_folder import check_shared_training


@dataclass
class Cost:
    """What a step costs: seconds until all processes have finished it, and processor seconds of all of them."""

    seconds: float
    processor_seconds: float


def measure(work: Callable[[], object], processes: Processes, alone: bool = False) -> Cost:
    """The cost of work of all processes, or of the first one alone."""
    processes.any(False)  # all begin together
    start, processor_start = time.perf_counter(), time.process_time()
    if processes.is_first or not alone:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    processor_seconds = sum(processes.gather(time.process_time() - processor_start))
    return Cost(time.perf_counter() - start, processor_seconds)


def median(costs: list[Cost]) -> Cost:
    """The median of the times and that of the processor times."""
    times, processor_times = zip(*((cost.seconds, cost.processor_seconds) for cost in costs), strict=True)
    return Cost(statistics.median(times), statistics.median(processor_times))


def open_pictures(path: Path | None, processes: Processes) -> tuple[PackedPictures, PackedPictures]:
    """The training and validation pictures; the first process packs them."""
    for packs in (True, False):
        if processes.is_first == packs:
            pictures = open_training_data(path)
        processes.any(False)  # the others wait
    return pictures.split()


def compare(config: TrainConfig, rounds: int, processes: Processes) -> dict[str, Cost]:
    """The median cost of each kind of work, measured in alternation."""
    pictures = open_pictures(config.train_data, processes)
    one, all_of_them = Solver(config, *pictures), Solver(config, *pictures, processes=processes)
    all_of_them.take_winograd_of_first()
    gradients = [torch.zeros_like(parameter) for parameter in one.network.parameters()]
    work: dict[str, tuple[Callable[[], object], bool]] = {
        "step of one process": (one.training_step, True),
        "step of all processes": (all_of_them.training_step, False),
        "optimizer": (one.optimizer_step, True),
        "sum of the gradients": (lambda: processes.sum_weighted(gradients, 1), False),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in work}
    for number in range(rounds + 1):  # the first round warms up
        for name, (function, alone) in work.items():
            cost = measure(function, processes, alone)
            if number:
                costs[name].append(cost)
    return {name: median(each) for name, each in costs.items()}


def table(costs: dict[str, Cost], count: int) -> str:
    """The costs, the gain of several processes, and the gain that the model of docs/distributed.md expects."""
    one, shared = costs["step of one process"], costs["step of all processes"]
    optimizer, message = costs["optimizer"].seconds, costs["sum of the gradients"].seconds
    expected = (one.seconds - optimizer) / count + optimizer + message
    lines = ["| | time | processor time |", "|---|---|---|"]
    lines += [f"| {name} | {c.seconds:.4f} s | {c.processor_seconds:.4f} s |" for name, c in costs.items()]
    gain = f"{one.seconds / shared.seconds:.2f} times as fast by the clock (model: {one.seconds / expected:.2f})"
    processor = shared.processor_seconds / one.processor_seconds
    return "\n".join([*lines, "", f"{count} processes: {gain}, with {processor:.2f} times the processor time"])


if __name__ == "__main__":
    parser = command_parser(__doc__)
    add_train_data(parser)
    parser.add_argument("--batch_size", type=whole(1), default=16, help="patches of all processes (default: 16)")
    parser.add_argument("--patch_size", type=whole(1), default=48, help="side of a patch in LR pixels (default: 48)")
    parser.add_argument("--rounds", type=whole(1), default=5, help="measurements of each kind (default: 5)")
    options = parser.parse_args()
    logging.disable()
    with one_line_errors(), (processes := Processes.of_environment()).joined():
        config = TrainConfig(
            train_data=options.train_data,
            batch_size=options.batch_size,
            patch_size=options.patch_size,
            device=processes.device("auto"),
        )
        check_shared_training(config, processes)
        costs = compare(config, options.rounds, processes)
        if processes.is_first:
            print(table(costs, processes.count))
