"""`Solver`: its state dict, learning rate, moving average and dormant features."""

import copy
from pathlib import Path

import pytest
import torch

from small_runs import load_only_checkpoint, read_rows, train
from srmd.config import TrainConfig
from srmd.model import SRMD, NetworkConfig
from srmd.packs.training_data import open_training_data
from srmd.solver import Solver
from srmd.weights.files import read_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")


def new_solver(**options: object) -> Solver:
    config = {"precision": "fp32", "device": "cpu", "batch_size": 2, "patch_size": 8} | options
    return Solver(TrainConfig(**config), *open_training_data(Path("pictures")).split())


# --- state dict


def test_a_resumed_solver_computes_exactly_what_an_uninterrupted_one_does():
    options = {"steps": 9, "lr": 1e-3}
    uninterrupted, interrupted, resumed = (new_solver(**options) for _ in range(3))
    for _ in range(3):
        interrupted.training_step()
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    for _ in range(6):
        uninterrupted.training_step()
    for solver in (interrupted, resumed):
        for _ in range(3):
            solver.training_step()
        assert solver.step == 6
        for a, b in zip(uninterrupted.ema.parameters(), solver.ema.parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_state_of_a_run_with_another_p_is_refused():
    solver = new_solver()
    with pytest.raises(ValueError, match="state: expected the state of a run with the same P"):
        solver.load_state_dict(solver.state_dict() | {"pca": -solver.pca})


def test_a_run_that_continues_in_another_precision_keeps_the_convolution_measured_for_it(
    monkeypatch: pytest.MonkeyPatch,
):
    state = new_solver().state_dict() | {"precision": "bf16", "winograd": False}
    solver = new_solver()
    monkeypatch.setattr(solver, "_can_use_winograd", lambda: True)
    solver.winograd = True
    solver.load_state_dict(state)
    assert solver.winograd
    solver.load_state_dict(state | {"precision": "fp32"})
    assert not solver.winograd


def test_a_run_with_winograd_continues_without_it_in_bfloat16():
    state = new_solver().state_dict() | {"winograd": True}
    solver = new_solver(precision="bf16")
    solver.load_state_dict(state)
    assert not solver.winograd


# --- steps


def test_the_learning_rate_warms_up_and_falls_to_almost_zero():
    assert train("run", "--steps=40", "--lr=1e-3") == 0
    rate = {row["step"]: row["lr"] for row in read_rows("run")}
    assert rate[1] == pytest.approx(1e-3 / 4)
    assert rate[10] > rate[20] > rate[30] > rate[40]
    assert 0 < rate[40] < 1e-5


def test_the_moving_average_follows_the_network_quickly_at_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # it would change the initial weights
    assert train("run", "--steps=1") == 0
    checkpoint = load_only_checkpoint("run")
    torch.manual_seed(0)
    initial = SRMD(NetworkConfig(features=16)).state_dict()
    expected = initial["convs.5.weight"] * 2 / 11 + checkpoint.network["convs.5.weight"] * 9 / 11
    torch.testing.assert_close(checkpoint.ema["convs.5.weight"], expected)


def test_weights_trained_in_bfloat16_are_saved_rounded_except_the_head():
    assert train("run", "--precision=bf16", "--steps=3") == 0
    network = read_weights(Path("run/last.safetensors")).network
    assert torch.equal(network.convs[5].weight, network.convs[5].weight.bfloat16().float())
    assert not torch.equal(network.head.weight, network.head.weight.bfloat16().float())


@pytest.mark.parametrize(("flags", "expected"), [((), [0, 0, 5, 5, 10, 10]), (("--batch_norm",), [])])
def test_dormant_features_are_searched_in_the_first_half_and_without_batch_norm_only(
    flags: tuple, expected: list[int], monkeypatch: pytest.MonkeyPatch
):
    step, searched_steps = 0, []

    def search(network: SRMD, lr: torch.Tensor, degradation_map: torch.Tensor) -> list[torch.Tensor]:
        searched_steps.append(step)
        return [torch.tensor([False])]

    def no_optimizer_step(solver: Solver) -> None:
        nonlocal step
        step = solver.step

    monkeypatch.setattr("srmd.solver.RESET_EVERY", 5)
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 4)  # two batches
    monkeypatch.setattr("srmd.solver.dormant_features", search)
    monkeypatch.setattr(Solver, "optimizer_step", no_optimizer_step)
    assert train("run", "--steps=21", *flags) == 0
    assert searched_steps == expected
