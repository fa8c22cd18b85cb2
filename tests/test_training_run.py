"""Training runs: what they write, and what they learn."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picture_files import open_picture
from small_packs import damage
from small_runs import have_same_weights, logged_losses, read_rows, train
from srmd import training_run
from srmd.base.distributed import Processes
from srmd.config import TrainConfig
from srmd.model import NetworkConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.show.plots import draw_loss
from srmd.solver import Solver
from srmd.weights.files import read_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")


def test_a_run_writes_its_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(training_run, "draw_loss", draw_loss)
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


def test_a_process_has_the_number_of_threads_of_the_first_one(monkeypatch: pytest.MonkeyPatch):
    def from_first(processes: Processes, value: object) -> object:
        return replace(value, threads=3) if isinstance(value, TrainConfig) else value

    numbers = []
    monkeypatch.setattr(Processes, "from_first", from_first)
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    assert train("run", "--steps=1") == 0
    assert numbers == [3]


def gain_of_training(flags: str) -> float:
    """By how many dB a run raises the validation PSNR."""
    assert train("run", "--lr=3e-4", "--scale_factor=2", *flags.split()) == 0
    psnr = [row["psnr_y"] for row in read_rows("run") if "psnr_y" in row]
    return psnr[-1] - psnr[0]


@pytest.mark.parametrize(
    "flags",
    [
        "--steps=60",
        pytest.param("--noise_free --loss=l2 --steps=60", marks=pytest.mark.slow),
        pytest.param("--downsampler=direct --steps=60", marks=pytest.mark.slow),
    ],
)
def test_training_raises_the_validation_psnr(flags: str):
    assert gain_of_training(flags) > 0.3


@pytest.mark.slow
def test_training_with_the_upsample_head_raises_the_validation_psnr(monkeypatch: pytest.MonkeyPatch):
    """Its sigmoid learns saturated colours slowly: 300 steps of the whole network gain 0.39 dB here."""
    monkeypatch.setattr("srmd.train.setup.NetworkConfig", NetworkConfig)
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 128)
    assert gain_of_training("--head=upsample --steps=300") > 0.2


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


def test_a_device_that_this_machine_lacks_is_refused_before_pictures_are_packed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(training_run, "open_training_data", lambda *_, **__: pytest.fail("pictures were packed"))
    assert train("run", "--steps=1", "--device=cuda:31") == 2
    assert capsys.readouterr().err.startswith("--device: this machine has ")
    assert not Path("run").exists()


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


def pack_pictures() -> PackedPictures:
    """Pack the folder `pictures` into pictures.h5."""
    pack(Path("pictures"), Path("pictures.h5"))
    return PackedPictures(Path("pictures.h5"))


def empty_the_pixels() -> None:
    size = Path("pictures.h5").stat().st_size
    os.truncate("pictures.h5", 2**16)
    os.truncate("pictures.h5", size)


def overwrite_the_file() -> None:
    content = bytearray(Path("pictures.h5").read_bytes())
    content[2**16 :] = bytes(value ^ 255 for value in content[2**16 :])
    Path("pictures.h5").write_bytes(content)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda: os.truncate("pictures.h5", 2**16 + 100), "found the end of the file"),
        pytest.param(empty_the_pixels, "found a wrong checksum", marks=pytest.mark.slow),
        pytest.param(overwrite_the_file, "found a wrong checksum", marks=pytest.mark.slow),
    ],
)
def test_a_pack_that_is_damaged_under_a_run_ends_it_after_saving(
    change: Callable[[], None], found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pack_pictures().close()
    whole, training_step = Path("pictures.h5").read_bytes(), Solver.training_step
    assert train("uninterrupted", "--train_data=pictures.h5", "--steps=21") == 0

    def damage_before_step_13(solver: Solver) -> torch.Tensor:
        if solver.step == 12:
            change()
        return training_step(solver)

    with monkeypatch.context() as patch:
        patch.setattr(Solver, "training_step", damage_before_step_13)
        capsys.readouterr()
        assert train("run", "--train_data=pictures.h5", "--steps=21") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pictures.h5: expected the pixels of ")
    assert error.endswith(f"{found}; the run is saved at step 12")
    assert [path.name for path in Path("run").glob("checkpoint-*")] == ["checkpoint-0000012.pt"]

    Path("pictures.h5").write_bytes(whole)
    assert train("run", "--resume") == 0
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")


def test_a_pack_that_is_damaged_before_a_run_is_an_invalid_request(capsys: pytest.CaptureFixture):
    with pack_pictures() as pictures:
        damage(Path("pictures.h5"), pictures.picture(0))
    assert train("run", "--train_data=pictures.h5", "--steps=21", "--cache=memory") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("--train_data: pictures.h5: expected the pixels of ")


@pytest.mark.parametrize("data", ["pictures", "pictures.h5"])
def test_a_run_is_not_resumed_with_other_pictures(data: str, capsys: pytest.CaptureFixture):
    pack_pictures().close()
    assert train("run", f"--train_data={data}", "--steps=3", "--save_every=2") == 0
    Path("run/checkpoint-0000003.pt").unlink()
    with Image.open("pictures/a.png") as picture:
        picture.transpose(Image.Transpose.ROTATE_180).save("pictures/a.png")
    pack_pictures().close()
    assert train("run", "--resume") == 2
    problem = "expected the pictures that the run in run was started with, found others"
    assert capsys.readouterr().err.splitlines()[-1] == f"--train_data: {data}: {problem}"


def test_a_run_is_resumed_with_equal_pictures_in_a_new_pack():
    pack_pictures().close()
    assert train("run", "--train_data=pictures.h5", "--steps=3", "--save_every=2") == 0
    Path("run/checkpoint-0000003.pt").unlink()
    Path("pictures.h5").unlink()
    os.utime("pictures/a.png", (1, 1))
    pack_pictures().close()
    assert train("run", "--resume") == 0


def test_a_folder_of_too_small_pictures_is_named_as_it_was_given(capsys: pytest.CaptureFixture):
    assert train("run", "--patch_size=80", "--train_data=./pictures/") == 2
    expected = "expected a picture of 184×184 pixels or more, which --patch_size=80 at x2 needs, found at most 84×72"
    assert capsys.readouterr().err == f"--train_data: pictures: {expected}\n"


def test_pictures_in_subfolders_are_trained_on_if_asked_for(capsys: pytest.CaptureFixture):
    shutil.copytree("pictures", "photos/birds")
    assert train("run", "--train_data=photos", "--steps=1") == 2
    assert "photos: expected pictures directly inside it" in capsys.readouterr().err
    assert train("run", "--train_data=photos", "--steps=1", "--recursive") == 0
    assert json.loads(Path("run/config.json").read_text())["recursive"] is True
