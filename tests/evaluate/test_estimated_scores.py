"""HR pictures whose LR is restored with an estimate: its scores beside those of the network told the truth."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from picture_files import open_picture, save_smooth_picture
from small_restoring import write_network
from srmd.cli import main
from srmd.cli.requests import parse
from srmd.evaluate.run import evaluate
from srmd.kernel.families import gaussian
from srmd.restore.estimate import BlindEstimator, Estimate

BOTH = ["--assumed_kernel=auto", "--assumed_noise_level=auto"]
FLAGS = ["--mode=test", "--test_data=hr", "--output=out", "--precision=fp32", "--engine=torch", "--visdom=off"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a folder with an HR picture, which is estimated as `gaussian:1.3` without noise."""
    monkeypatch.chdir(tmp_path)
    Path("hr").mkdir()
    save_smooth_picture("hr/a.png", np.random.default_rng(0), (84, 72))
    expect(monkeypatch, 1.3, 0.0)


def expect(monkeypatch: pytest.MonkeyPatch, width: float, noise_level: float) -> list[tuple]:
    """Replaces all estimates by one; returns the list that their arguments are appended to."""
    calls: list[tuple] = []

    def estimate(_: BlindEstimator, *arguments: object) -> Estimate:
        calls.append(arguments)
        return Estimate((width, width), 0.0, noise_level, 0.9)

    monkeypatch.setattr(BlindEstimator, "estimate", estimate)
    return calls


def score(*flags: str) -> dict:
    assert main.main([*FLAGS, *flags]) == 0
    (row,) = json.loads(Path("out/metrics.json").read_text())["images"]
    return row


def test_an_estimate_scores_beside_the_truth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    truth = score("--kernel=gaussian:1.3")
    assert "truth_psnr_y" not in truth
    told_1 = score("--kernel=gaussian:1.3", "--assumed_kernel=gaussian:1", "--assumed_noise_level=4")
    expect(monkeypatch, 1.0, 4.0)
    capsys.readouterr()
    auto = score("--kernel=gaussian:1.3", *BOTH)
    assert (auto["truth_psnr_y"], auto["truth_ssim_y"]) == (truth["psnr_y"], truth["ssim_y"])
    assert (auto["psnr_y"], auto["ssim_y"]) == (told_1["psnr_y"], told_1["ssim_y"])
    assert auto["bicubic_psnr_y"] == truth["bicubic_psnr_y"]
    assert auto["estimated"] == {"kernel": "gaussian:1", "confidence": 0.9, "sure": True, "noise_level": 4.0}
    assert Path(auto["weights"]).stem == "srmd_x2"
    output = capsys.readouterr().out
    assert "a: kernel gaussian:1 (sure), noise 4\n" in output
    assert "told the truth PSNR / SSIM   loss [dB]\n" in output
    assert f"{auto['truth_psnr_y'] - auto['psnr_y']:.2f}\n" in output
    written = json.loads(Path("out/metrics.json").read_text())
    assert written["degradation"] == {"kernel": "gaussian:1.3", "noise_level": 0, "downsampler": "bicubic"}
    assert written["assumed"] == {"kernel": "auto", "noise_level": "auto"}
    assert written["mean"]["truth_psnr_y"] == auto["truth_psnr_y"]


def test_each_part_can_be_estimated_alone(monkeypatch: pytest.MonkeyPatch):
    calls = expect(monkeypatch, 1.0, 9.0)
    row = score("--kernel=gaussian:1.3", "--noise_level=5", "--assumed_kernel=auto")
    assert calls[0][1:] == (None, 5, None)
    assert row["estimated"].keys() == {"kernel", "confidence", "sure"}
    row = score("--kernel=gaussian:1.3", "--noise_level=5", "--assumed_noise_level=auto")
    assert np.allclose(calls[1][1], gaussian(1.3))
    assert calls[1][2] is None
    assert row["estimated"] == {"noise_level": 9.0}
    row = score("--noise_level=5", "--assumed_noise_level=auto", "--assumed_kernel=gaussian:2")
    assert np.allclose(calls[2][1], gaussian(2))


def test_the_estimate_is_made_of_the_lr_picture_that_the_network_gets(monkeypatch: pytest.MonkeyPatch):
    calls = expect(monkeypatch, 1.0, 9.0)
    score("--kernel=gaussian:1.3", "--noise_level=5", "--save_lr", *BOTH)
    lr = np.asarray(open_picture("out/lr/a.png"))
    assert np.abs(calls[0][0].clip(0, 1) * 255 - lr).max() <= 0.5 + 1e-9


def test_given_weights_restore_both():
    write_network("tiny.safetensors", conditions=("kernel", "noise"))
    row = score("--weights=tiny.safetensors", "--noise_level=5", *BOTH)
    assert row["weights"] == "tiny.safetensors"
    truth = score("--weights=tiny.safetensors", "--noise_level=5")
    assert row["truth_psnr_y"] == truth["psnr_y"]


def test_the_truth_of_the_direct_downsampler_is_the_equivalent_kernel(capsys: pytest.CaptureFixture):
    direct = ["--kernel=gaussian:1.6", "--downsampler=direct"]
    truth = score(*direct)
    assert score(*direct, "--assumed_noise_level=auto")["truth_psnr_y"] == truth["psnr_y"]
    assert main.main([*FLAGS, *direct, "--assumed_kernel=auto"]) == 2
    assert capsys.readouterr().err.startswith("--assumed_kernel: auto works for the bicubic downsampler only")


def test_the_saved_kernel_is_the_applied_one():
    score("--kernel=gaussian:2", "--save_kernel=k.mat", *BOTH)
    np.testing.assert_allclose(scipy.io.loadmat("k.mat")["kernel"], gaussian(2), atol=1e-12)


def test_the_progress_ends_at_the_pixels_of_all_pictures():
    steps: list[tuple[int, int]] = []
    evaluate(parse([*FLAGS, *BOTH]), lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (84 * 72,) * 2
    assert steps[0][0] < 84 * 72


def test_the_dashboard_shows_the_estimated_kernel_and_both_results(monkeypatch: pytest.MonkeyPatch):
    shown = {}
    monkeypatch.setattr("srmd.show.dashboard.Dashboard.image", lambda _, *values: shown.update({values[0]: values}))
    row = score("--kernel=gaussian:2", *BOTH)
    assert shown["kernel"][2] == "estimated kernel of a: gaussian:1.3"
    auto, truth = row["psnr_y"], row["truth_psnr_y"]
    bicubic = f"bicubic {row['bicubic_psnr_y']:.2f} dB"
    panels = f"LR | {bicubic} | SRMD, auto {auto:.2f} dB | SRMD, truth {truth:.2f} dB | HR"
    assert shown["picture a"][2] == f"a: {panels}"
