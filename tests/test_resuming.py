"""Resuming training runs: a resumed run equals one that was never interrupted, to the bit."""

import json
import signal
from pathlib import Path

import pytest
import torch

from small_runs import (
    have_same_weights,
    logged_losses,
    read_rows,
    signal_at_step,
    train,
    write_own_kernels,
    write_x3_weights,
)
from srmd.solver import Solver

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")
SLOW = pytest.mark.slow


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=SLOW)])
def test_a_run_stopped_by_a_signal_is_resumed_to_the_bit(monkeypatch: pytest.MonkeyPatch, number: int, code: int):
    assert train("uninterrupted", "--steps=21") == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 13, number)
        assert train("resumed", "--steps=21") == code
    assert logged_losses("resumed") == logged_losses("uninterrupted")[:2]
    assert train("resumed", "--resume") == 0
    assert logged_losses("resumed") == logged_losses("uninterrupted")
    assert have_same_weights("resumed", "uninterrupted")


@pytest.mark.slow
def test_a_run_is_resumed_to_the_bit_at_a_step_that_resets_dormant_features(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("srmd.solver.RESET_EVERY", 5)
    training_step = Solver.training_step

    def step_that_makes_features_dormant(solver: Solver) -> torch.Tensor:
        loss = training_step(solver)
        if solver.step == 10:
            solver.network.convs[3].bias.data[5:9] = -1e3
        return loss

    message = "dormant features reset at step 10"
    monkeypatch.setattr(Solver, "training_step", step_that_makes_features_dormant)
    assert train("uninterrupted", "--steps=21") == 0
    assert message in capsys.readouterr().out
    with monkeypatch.context() as patch:
        signal_at_step(patch, 10, signal.SIGINT)
        assert train("resumed", "--steps=21") == 130
    assert message not in capsys.readouterr().out
    assert train("resumed", "--resume") == 0
    assert message in capsys.readouterr().out
    assert logged_losses("resumed") == logged_losses("uninterrupted")
    assert have_same_weights("resumed", "uninterrupted")


@pytest.mark.slow
def test_a_run_that_died_is_resumed_from_its_newest_whole_checkpoint(capsys: pytest.CaptureFixture):
    assert train("uninterrupted", "--steps=21") == 0
    assert train("died", "--steps=21", "--save_every=7") == 0
    Path("died/checkpoint-0000021.pt").unlink()
    truncated = Path("died/checkpoint-0000014.pt")  # as on a full disk
    truncated.write_bytes(truncated.read_bytes()[:1000])
    assert train("died", "--resume") == 0
    assert "checkpoint-0000014.pt: not a checkpoint" in capsys.readouterr().out
    assert Path("died/checkpoint-0000014.broken").exists()
    assert logged_losses("died") == logged_losses("uninterrupted")
    assert have_same_weights("died", "uninterrupted")


def test_if_all_checkpoints_are_broken_resuming_is_an_error_and_changes_nothing(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=3") == 0
    (checkpoint,) = Path("run").glob("checkpoint-*")
    checkpoint.write_bytes(b"PK broken")
    assert train("run", "--resume") == 2
    assert "--resume: none of the 1 checkpoints" in capsys.readouterr().err
    assert checkpoint.exists()
    assert read_rows("run")


def test_resuming_a_finished_run_reports_that_and_changes_nothing(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    metrics = Path("run/metrics.jsonl").read_bytes()
    assert train("run", "--resume") == 0
    assert "finished" in capsys.readouterr().out
    assert Path("run/metrics.jsonl").read_bytes() == metrics


def test_resuming_a_run_without_checkpoints_starts_it_again(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    for path in Path("run").glob("checkpoint-*"):
        path.unlink()
    assert train("run", "--resume") == 0
    assert "No checkpoint" in capsys.readouterr().out
    assert len(read_rows("run")) == 2


def test_a_run_is_resumed_without_the_file_of_its_initial_weights(monkeypatch: pytest.MonkeyPatch):
    write_x3_weights("first.safetensors")
    assert train("uninterrupted", "--steps=11", "--weights=first.safetensors") == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 5, signal.SIGINT)
        assert train("resumed", "--steps=11", "--weights=first.safetensors") == 130
    Path("first.safetensors").unlink()
    assert train("resumed", "--resume") == 0
    assert logged_losses("resumed") == logged_losses("uninterrupted")


@pytest.mark.slow
def test_a_run_on_own_kernels_is_resumed_to_the_bit_without_their_file(monkeypatch: pytest.MonkeyPatch):
    flags = ["--steps=11", write_own_kernels(), "--gaussian_share=0.3", "--pca_dim=20"]
    assert train("uninterrupted", *flags) == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 5, signal.SIGINT)
        assert train("resumed", *flags) == 130
    Path("motion.npy").unlink()
    assert train("resumed", "--resume") == 0
    assert logged_losses("resumed") == logged_losses("uninterrupted")
    assert have_same_weights("resumed", "uninterrupted")


def test_the_share_of_gaussians_can_not_be_changed_on_resuming(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=1", write_own_kernels(), "--gaussian_share=0.3") == 0
    assert train("run", "--resume", "--gaussian_share=0.4") == 2
    assert "--gaussian_share: the run in run was started with 0.3, found 0.4" in capsys.readouterr().err


def test_a_run_of_another_version_is_not_resumed_but_gives_its_weights_to_a_new_one(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("srmd.solver.__version__", "0.0.1")
        signal_at_step(patch, 3, signal.SIGTERM)
        assert train("run", "--steps=9") == 143
    assert train("run", "--resume") == 2
    assert "--resume: run was started by version 0.0.1" in capsys.readouterr().err
    assert train("new", "--steps=2", "--weights=run/last.safetensors") == 0


def test_resuming_a_run_of_version_0_4_names_the_version(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    path = Path("run/config.json")
    config = json.loads(path.read_text())
    del config["threads"]  # version 0.4.0 did not have it
    path.write_text(json.dumps(config | {"steps": 9}))
    (checkpoint,) = Path("run").glob("checkpoint-*")
    state = torch.load(checkpoint, weights_only=True) | {"version": "0.4.0"}
    del state["winograd"]
    torch.save(state, checkpoint)
    capsys.readouterr()
    assert train("run", "--resume") == 2
    error = capsys.readouterr().err
    assert error.startswith("--resume: run was started by version 0.4.0")
    assert error.endswith("; --weights=run/last.safetensors starts a new run from its network\n")
