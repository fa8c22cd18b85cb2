"""The comparison of a step of several processes with a step of one."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.processes import Cost, compare, table
from srmd.base.distributed import Processes
from srmd.config import TrainConfig
from srmd.solver import Solver

SECONDS = [0.0]  # the time, which advances by 4 in a training step, by 2 in the optimizer and by 1 in a sum


class Alone(Processes):
    """Stands in for two processes, of which the other one is as fast as this one and computes nothing."""

    def any(self, condition: bool) -> bool:
        return condition

    def gather(self, value: float) -> list:
        return [value, value]

    def from_first(self, value: object) -> object:
        return value

    def sum_weighted(self, tensors: list[torch.Tensor], weight: float) -> None:
        SECONDS[0] += 1


def count_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the time advance by the calls of a solver's methods only."""
    for name, seconds in (("training_step", 4), ("optimizer_step", 2)):
        method = getattr(Solver, name)

        def timed(solver: Solver, method: Callable = method, seconds: float = seconds) -> object:
            SECONDS[0] += seconds
            return method(solver)

        monkeypatch.setattr(Solver, name, timed)
    clock = SimpleNamespace(perf_counter=lambda: SECONDS[0], process_time=lambda: SECONDS[0])
    monkeypatch.setattr("benchmarks.processes.time", clock)


@pytest.mark.usefixtures("folder_with_pictures", "short_runs")
def test_every_kind_of_work_is_measured(monkeypatch: pytest.MonkeyPatch):
    count_seconds(monkeypatch)
    config = TrainConfig(train_data=Path("pictures"), batch_size=2, patch_size=8, device="cpu", precision="fp32")
    costs = compare(config, 1, Alone(0, 2))
    seconds = {name: (cost.seconds, cost.processor_seconds) for name, cost in costs.items()}
    assert seconds == {
        "step of one process": (6, 12),  # with the optimizer; the other process waits
        "step of all processes": (7, 14),
        "optimizer": (2, 4),
        "sum of the gradients": (1, 2),
    }


def test_the_table_states_the_gain_and_what_the_model_expects():
    one, several = Cost(1.0, 1.0), Cost(0.8, 1.4)
    costs = {"step of one process": one, "step of all processes": several}
    costs |= {"optimizer": Cost(0.2, 0.2), "sum of the gradients": Cost(0.025, 0.02)}
    *rows, empty, gain = table(costs, 2).splitlines()
    assert rows[2] == "| step of one process | 1.0000 s | 1.0000 s |"
    assert (len(rows), empty) == (6, "")
    # 1.0 / 0.8; (1.0 - 0.2) / 2 + 0.2 + 0.025 = 0.625
    assert gain == "2 processes: 1.25 times as fast by the clock (model: 1.60), with 1.40 times the processor time"
