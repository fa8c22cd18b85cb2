"""Diverged networks, full disks and killed processes: what a training run keeps."""

import errno
import json
from pathlib import Path

import pytest
import torch

from small_runs import read_rows, train
from srmd.solver import Solver
from srmd.train.run_folder import RunFolder
from srmd.weights.checkpoint import load_checkpoint
from srmd.weights.files import read_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")
TEMPORARY = f".tmp-srmd-{'0123456789abcdef' * 2}.pt"


@pytest.mark.parametrize("part", ["ema", "network"])
def test_a_diverged_network_does_not_replace_a_good_one(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    training_step = Solver.training_step

    def diverge_in_step_6(solver: Solver) -> torch.Tensor:
        loss = training_step(solver)
        if solver.step == 6:
            with torch.no_grad():
                getattr(solver, part).head.bias[0] = float("nan")
        return loss if solver.step < 6 else loss.new_tensor(0.1)

    monkeypatch.setattr(Solver, "training_step", diverge_in_step_6)
    assert train("run", "--steps=8", "--save_every=4") == 1
    expected = "the network has weights that are NaN or infinite at step 8: start a new run with a lower --lr"
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert [path.name for path in Path("run").glob("checkpoint-*")] == ["checkpoint-0000004.pt"]
    assert read_weights(Path("run/last.safetensors")).metadata["steps"] == 4


def test_a_run_that_cannot_append_to_its_metrics_saves_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    append = RunFolder.append

    def append_to_a_full_disk(folder: RunFolder, row: dict) -> None:
        if row["step"] == 10:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder.metrics))
        append(folder, row)

    monkeypatch.setattr(RunFolder, "append", append_to_a_full_disk)
    assert train("run", "--steps=20") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "run/metrics.jsonl: No space left on device; the run is saved at step 10"
    assert load_checkpoint(Path("run/checkpoint-0000010.pt")).step == 10
    monkeypatch.undo()


def test_resuming_removes_the_temporary_files_of_a_killed_process():
    assert train("run", "--steps=2", "--save_every=1") == 0
    Path("run/checkpoint-0000002.pt").unlink()
    for folder in ("run", "run/samples"):
        Path(folder, TEMPORARY).write_bytes(b"half a file")
    Path("run/.other").write_text("kept")
    assert train("run", "--resume") == 0
    assert not Path("run", TEMPORARY).exists()
    assert not Path("run/samples", TEMPORARY).exists()
    assert Path("run/.other").exists()


@pytest.mark.parametrize(
    "damaged",
    [
        '{"step": 2, "lass": 1, "lr": 1, "images_per_s": 1}',
        '{"step": 2, "loss": "1", "lr": 1, "images_per_s": 1}',
        '{"step": 2, "loss": 1, "lr": null, "images_per_s": 1}',
        '{"step": 2, "loss": 1, "lr": 1, "images_per_s": 1, "psnr_y": "a", "bicubic_psnr_y": 1}',
        "[" * 100_000,
        "\0",
    ],
)
def test_damaged_rows_of_metrics_are_ignored(damaged: str, tmp_path: Path):
    good = {"step": 1, "loss": 1.0, "lr": 0.1, "images_per_s": 2.0, "psnr_y": None}
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(good)}\n{damaged}\n")
    assert RunFolder(tmp_path).rows() == [good]


def test_a_checkpoint_of_another_network_is_an_invalid_request(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2", "--save_every=1") == 0
    path = Path("run/checkpoint-0000001.pt")
    Path("run/checkpoint-0000002.pt").unlink()
    state = vars(load_checkpoint(path))
    state["network"] = {"head.bias": torch.zeros(1)}
    torch.save(state, path)
    capsys.readouterr()
    assert train("run", "--resume") == 2
    error = capsys.readouterr().err
    assert error.startswith("--resume: run/checkpoint-0000001.pt: expected a checkpoint of this run, found another")
    assert error.count("\n") == 1
    assert [row["step"] for row in read_rows("run")] == [1, 2]
