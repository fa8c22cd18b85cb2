"""Short training runs in pairs: what a setting changes, the table, and runs that were stopped."""

import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import paired_runs
from benchmarks.paired_runs import BASELINE, SETTINGS, Setting
from picture_files import save_smooth_picture
from small_packs import packed
from small_runs import read_rows, signal_at_step
from srmd.config import TrainConfig
from srmd.solver import Solver


def rows_of(setting: str, *values: float) -> list[dict]:
    return [{"setting": setting, "seed": seed, "scores": {"a": value}} for seed, value in enumerate(values)]


def test_differences_are_between_runs_of_one_seed():
    rows = [*rows_of(BASELINE, 30.0, 32.0, 31.0), *reversed(rows_of("other", 30.1, 32.3, 31.2))]
    mean, error = paired_runs.difference(rows, "other", "a")
    assert mean == pytest.approx(0.2)
    assert error == pytest.approx(0.1 / math.sqrt(3))


def first_batch(tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch):
    """The first batch of 32 patches that is trained on with the constants of a setting."""
    pictures = packed(tmp_path, (90, 90))
    monkeypatch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)
    with monkeypatch.context() as patch:
        for name, value in setting.constants.items():
            patch.setattr(name, value)
        config = TrainConfig(conditions=("kernel",), batch_size=32, patch_size=8, device="cpu", precision="fp32")
        return Solver(config, pictures, pictures).batches.draw(1)


def share_rounded(lr: torch.Tensor) -> float:
    levels = 255 * lr
    return (levels - levels.round()).abs().amax((1, 2, 3)).lt(1e-3).float().mean().item()


def test_each_setting_changes_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    batches = {
        name: first_batch(tmp_path, SETTINGS[name], monkeypatch)
        for name in (BASELINE, "widths to 2.0", "never rounded", "always rounded", "colours unchanged")
    }
    assert 0 < share_rounded(batches[BASELINE].lr) < 1
    assert share_rounded(batches["never rounded"].lr) == 0
    assert share_rounded(batches["always rounded"].lr) == 1
    assert torch.equal(batches["always rounded"].hr, batches[BASELINE].hr)
    centre_taps = {name: batch.kernels[:, 7, 7].amin().item() for name, batch in batches.items()}
    assert centre_taps["widths to 2.0"] > centre_taps[BASELINE]
    assert not torch.equal(batches["colours unchanged"].hr, batches[BASELINE].hr)


@pytest.mark.slow
def test_stopped_runs_go_on_and_finished_ones_are_not_repeated(
    folder_with_pictures: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(paired_runs, "SETTINGS", {name: SETTINGS[name] for name in (BASELINE, "lossless only")})
    monkeypatch.setattr(paired_runs, "SEEDS", (0,))
    monkeypatch.setattr(paired_runs, "FLAGS", ("--steps=3", "--batch_size=2", "--patch_size=8", "--noise_free"))
    monkeypatch.setattr(paired_runs, "SIDE", 40)
    Path("lossless").mkdir()
    rng = np.random.default_rng(1)
    for number in range(8):
        save_smooth_picture(f"lossless/{number}.png", rng, (60, 60))
    with monkeypatch.context() as patch:
        signal_at_step(patch, 2, signal.SIGTERM)
        with pytest.raises(SystemExit) as stopped:
            paired_runs.compare(Path("pictures"), Path("lossless"), [])
    assert stopped.value.code == 128 + signal.SIGTERM
    (run,) = Path("data/paired_runs/runs").iterdir()
    assert read_rows(str(run))[-1]["step"] == 1
    paired_runs.compare(Path("pictures"), Path("lossless"), [])
    results = Path("data/paired_runs/results.jsonl").read_text()
    assert len(results.splitlines()) == 2
    monkeypatch.setattr(paired_runs, "train", None)  # a repeated run would fail
    capsys.readouterr()
    paired_runs.compare(Path("pictures"), Path("lossless"), [])
    assert Path("data/paired_runs/results.jsonl").read_text() == results
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| setting | held_out, `delta` | held_out, `gaussian:1.7` |")
    assert table[-1].startswith("| lossless only | ")
