"""The comparison of a step of several processes with a step of one."""

from pathlib import Path

import pytest
import torch

from benchmarks.processes import Cost, compare, table
from srmd.base.distributed import Processes
from srmd.config import TrainConfig


class Alone(Processes):
    """Stands in for two processes, of which the other one is as fast as this one and computes nothing."""

    def any(self, condition: bool) -> bool:
        return condition

    def gather(self, value: float) -> list:
        return [value, value]

    def from_first(self, value: object) -> object:
        return value

    def sum_weighted(self, tensors: list[torch.Tensor], weight: float) -> None:
        pass


@pytest.mark.usefixtures("folder_with_pictures", "short_runs")
def test_every_kind_of_work_is_measured():
    config = TrainConfig(train_data=Path("pictures"), batch_size=2, patch_size=8, device="cpu", precision="fp32")
    costs = compare(config, 1, Alone(0, 2))
    assert set(costs) == {"step of one process", "step of all processes", "optimizer", "sum of the gradients"}
    assert costs["step of one process"].seconds > costs["optimizer"].seconds > costs["sum of the gradients"].seconds


def test_the_table_states_the_gain_and_what_the_model_expects():
    one, several = Cost(1.0, 1.0), Cost(0.8, 1.4)
    costs = {"step of one process": one, "step of all processes": several}
    costs |= {"optimizer": Cost(0.2, 0.2), "sum of the gradients": Cost(0.025, 0.02)}
    *rows, empty, gain = table(costs, 2).splitlines()
    assert rows[2] == "| step of one process | 1.0000 s | 1.0000 s |"
    assert (len(rows), empty) == (6, "")
    # 1.0 / 0.8; (1.0 - 0.2) / 2 + 0.2 + 0.025 = 0.625
    assert gain == "2 processes: 1.25 times as fast by the clock (model: 1.60), with 1.40 times the processor time"
