"""Batches that several processes share: the parts together are the whole batch, and so are their gradients."""

from pathlib import Path

import pytest
import torch

from small_solvers import photos, small_solver
from srmd.base.distributed import Processes
from srmd.base.errors import InputError
from srmd.train.memory import PicturesInMemory


class InTurn(Processes):
    """Stands in for processes that run one after another: the last one to sum gets the sums of all."""

    sent: list

    def sum_weighted(self, tensors: list[torch.Tensor], weight: float) -> None:
        self.sent.append([weight * tensor for tensor in tensors])
        for tensor, *parts in zip(tensors, *self.sent, strict=True):
            tensor.copy_(sum(parts))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_parts_of_a_batch_are_the_batch(tmp_path: Path, count: int, in_memory: bool):
    batches = small_solver(photos(tmp_path), batch_size=32, seed=3).batches
    if in_memory:
        batches.pictures = PicturesInMemory(batches.pictures, batches.device)
    parts = [batches.draw(5, Processes(rank, count).part(32)) for rank in range(count)]
    assert {len(part.lr) for part in parts} <= {32 // count, 32 // count + 1}
    for whole, *pieces in zip(batches.draw(5), *parts, strict=True):
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("count", [2, 3])
def test_gradients_and_loss_of_several_processes_are_those_of_one(tmp_path: Path, count: int):
    pictures, sent = photos(tmp_path), []
    alone = small_solver(pictures)
    expected_loss = alone.training_step()
    for rank in range(count):
        solver = small_solver(pictures)
        solver.processes = InTurn(rank, count)
        solver.processes.sent, solver.processes.any = sent, lambda condition: condition
        solver.part = solver.processes.part(8)
        loss = solver.training_step()
    assert len(sent) == count
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0)
    for parameter, expected in zip(solver.network.parameters(), alone.network.parameters(), strict=True):
        error = (parameter.grad - expected.grad).norm() / expected.grad.norm()
        assert error < 1e-5


def test_the_environment_of_torchrun_is_read(monkeypatch: pytest.MonkeyPatch):
    assert Processes.of_environment() == Processes()
    monkeypatch.setenv("WORLD_SIZE", "8")  # some job schedulers set it alone
    assert Processes.of_environment() == Processes()
    for name, value in {"RANK": "5", "LOCAL_RANK": "1", "TORCHELASTIC_MAX_RESTARTS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert Processes.of_environment() == Processes(rank=5, count=8, local_rank=1, may_restart=True)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(InputError, match="expected whole numbers in torchrun's environment variables, found RANK="):
        Processes.of_environment()


def test_pictures_are_shared_without_repeats():
    shares = [Processes(rank, 3).share(range(7)) for rank in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
