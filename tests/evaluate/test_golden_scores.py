"""Scores of the shipped networks on crops of built-in photos, which every machine must reproduce.

The scores were measured with the files in weights/: whoever changes these files must measure the scores again. If a
change of the program changes a score, it has changed how degradations are applied, how networks are run, or how SR is
scored.
"""

import json
from pathlib import Path

import pytest

from picture_files import open_picture
from small_solvers import PHOTOS
from srmd.cli import main

# Left, upper, right and lower edge in pixels. Sides are odd, so that `modcrop` cuts off rows and columns.
CROPS = {"astronaut": (150, 40, 261, 147), "chelsea": (120, 80, 223, 185), "coffee": (300, 120, 413, 221)}
ORIENTED = "gaussian:2.6,1.0,30"  # neither along an axis nor along a diagonal
TRANSPOSED = "gaussian:2.6,1.0,60"  # ORIENTED with rows and columns exchanged
MIRRORED = "gaussian:2.6,1.0,150"  # ORIENTED flipped left to right


@pytest.fixture
def _folder_with_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("crops").mkdir()
    for name, box in CROPS.items():
        open_picture(PHOTOS / f"{name}.png").convert("RGB").crop(box).save(f"crops/{name}.png")


def scores(network: str, kernel: str, noise_level: float, *flags: str) -> dict:
    """Return the mean scores of a shipped network on the crops, from a run of the command line."""
    engine = ["--engine=torch", "--precision=fp32", "--device=cpu", "--visdom=off"]
    degradation = [f"--kernel={kernel}", f"--noise_level={noise_level}"]
    weights = Path(__file__).parents[2] / "weights" / f"{network}.safetensors"
    arguments = ["--mode=test", f"--weights={weights}", "--test_data=crops", "--output=result"]
    assert main.main([*arguments, *degradation, *engine, *flags]) == 0
    return json.loads(Path("result/metrics.json").read_text())["mean"]


@pytest.mark.usefixtures("_folder_with_crops")
@pytest.mark.parametrize(
    ("network", "kernel", "noise_level", "flags", "expected"),
    [
        ("srmdnf_x2", "delta", 0, (), (34.854, 0.94489, 33.176, 32.252, 0.91784)),
        ("srmdnf_x2", ORIENTED, 0, (), (33.209, 0.92771, 31.513, 26.780, 0.78853)),
        ("srmd_x2", ORIENTED, 15, (), (28.493, 0.80864, 26.704, 25.439, 0.65256)),
        ("srmd_x2", ORIENTED, 15, ("--seed=1",), (28.603, 0.80529, 26.807, 25.422, 0.65458)),
        ("srmd_x3", ORIENTED, 5, (), (29.249, 0.82548, 27.543, 26.131, 0.74866)),
        ("srmd_x4", "delta", 50, (), (24.492, 0.68161, 22.400, 20.627, 0.42535)),
    ],
)
def test_shipped_networks_reproduce_their_scores(
    network: str, kernel: str, noise_level: float, flags: tuple[str, ...], expected: tuple[float, ...]
):
    mean = scores(network, kernel, noise_level, *flags)
    psnr_y, ssim_y, psnr_rgb, bicubic_psnr_y, bicubic_ssim_y = expected
    assert mean["psnr_y"] == pytest.approx(psnr_y, abs=0.01)
    assert mean["ssim_y"] == pytest.approx(ssim_y, abs=0.0003)
    assert mean["psnr_rgb"] == pytest.approx(psnr_rgb, abs=0.01)
    assert mean["bicubic_psnr_y"] == pytest.approx(bicubic_psnr_y, abs=0.002)
    assert mean["bicubic_ssim_y"] == pytest.approx(bicubic_ssim_y, abs=0.0001)


@pytest.mark.usefixtures("_folder_with_crops")
@pytest.mark.parametrize(("assumed", "expected"), [(TRANSPOSED, 23.318), (MIRRORED, 18.770)])
def test_a_wrong_orientation_of_the_assumed_kernel_lowers_psnr(assumed: str, expected: float):
    """The right orientation scores 33.209 dB."""
    mean = scores("srmdnf_x2", ORIENTED, 0, f"--assumed_kernel={assumed}")
    assert mean["psnr_y"] == pytest.approx(expected, abs=0.02)


@pytest.mark.usefixtures("_folder_with_crops")
@pytest.mark.parametrize(("assumed", "expected"), [(0, 15.603), (40, 27.127)])
def test_a_wrong_assumed_noise_level_costs_decibels(assumed: float, expected: float):
    """The true noise level scores 28.493 dB."""
    mean = scores("srmd_x2", ORIENTED, 15, f"--assumed_noise_level={assumed}")
    assert mean["psnr_y"] == pytest.approx(expected, abs=0.02)
