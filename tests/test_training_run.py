"""Training runs: what they write, and what they learn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picture_files import open_picture
from small_runs import logged_losses, read_rows, train
from srmd.solver import Solver
from srmd.weights.files import read_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures")
SLOW = pytest.mark.slow


def test_a_run_writes_its_files(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=12", "--save_every=5") == 0
    assert sorted(path.name for path in Path("run").iterdir() if not path.name.startswith(".")) == [
        "checkpoint-0000005.pt",
        "checkpoint-0000010.pt",
        "checkpoint-0000012.pt",
        "config.json",
        "last.safetensors",
        "loss.png",
        "metrics.jsonl",
        "samples",
    ]
    rows = read_rows("run")
    assert [row["step"] for row in rows] == [1, 10, 12]
    assert {"step", "loss", "lr", "images_per_s"} <= rows[1].keys()
    assert {"psnr_y", "bicubic_psnr_y"} <= rows[-1].keys()
    assert json.loads(Path("run/config.json").read_text())["steps"] == 12
    assert open_picture("run/loss.png").size == (800, 450)
    assert open_picture("run/samples/step-0000012.png").size[0] > 4 * 16
    assert read_weights(Path("run/last.safetensors")).metadata["steps"] == 12
    assert "run contains the network (last.safetensors)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [
        "",
        pytest.param("--head=upsample", marks=SLOW),
        pytest.param("--noise_free --loss=l2", marks=SLOW),
        pytest.param("--downsampler=direct", marks=SLOW),
    ],
)
def test_training_raises_the_validation_psnr(flags: str):
    assert train("run", "--steps=60", "--lr=3e-4", "--scale_factor=2", *flags.split()) == 0
    psnr = [row["psnr_y"] for row in read_rows("run") if "psnr_y" in row]
    assert psnr[-1] > psnr[0] + 0.3


@pytest.mark.slow
def test_training_with_batch_norm_lowers_the_loss():
    assert train("run", "--steps=60", "--batch_norm", "--batch_size=16") == 0
    losses = [loss for _, loss in logged_losses("run")]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_every_scale_trains(scale: int):
    assert train("run", "--steps=2", f"--scale_factor={scale}") == 0
    assert read_weights(Path("run/last.safetensors")).network.config.scale == scale


def test_runs_with_one_seed_are_equal_and_those_with_another_differ():
    for output, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(output, "--steps=2", f"--seed={seed}") == 0
    assert logged_losses("a") == logged_losses("b") != logged_losses("c")


def test_a_run_that_diverges_fails_and_keeps_what_it_has_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    training_step = Solver.training_step

    def diverge(solver: Solver) -> torch.Tensor:
        loss = training_step(solver)
        return loss if solver.step < 12 else torch.tensor(float("nan"))

    monkeypatch.setattr(Solver, "training_step", diverge)
    assert train("run", "--steps=100", "--save_every=8") == 1
    assert "the loss is nan at step 16: start a new run with a lower --lr" in capsys.readouterr().err
    assert [row["step"] for row in read_rows("run")] == [1, 10]
    assert [path.name for path in Path("run").glob("checkpoint-*")] == ["checkpoint-0000008.pt"]


def test_pictures_that_are_too_small_are_refused_in_one_line(capsys: pytest.CaptureFixture):
    assert train("run", "--patch_size=80") == 2
    error = capsys.readouterr().err
    assert error.startswith("--train_data:")
    assert error.count("\n") == 1
    assert not Path("run").exists()


def test_a_refused_run_leaves_an_existing_folder_empty():
    Path("run").mkdir()
    assert train("run", "--patch_size=80") == 2
    assert list(Path("run").iterdir()) == []


def test_validation_uses_training_pictures_if_the_validation_picture_is_too_small():
    Image.new("RGB", (20, 20)).save("pictures/b.png")  # of three pictures the middle one is for validation
    assert train("run", "--steps=1") == 0
    assert read_rows("run")[0]["psnr_y"] > 0
