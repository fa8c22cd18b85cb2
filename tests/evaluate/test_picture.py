"""Evaluating a picture: tiles, self-ensemble, scale 1, the direct downsampler."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from default_pca import default_pca
from picture_files import open_picture
from published import NCNN, PCA, SET5, needs_networks, needs_set5
from small_runs import train
from srmd.cli import main
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, write_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")


def check(*flags: str) -> int:
    return main.main(["--mode=test", "--output=result", "--precision=fp32", "--engine=torch", "--visdom=off", *flags])


def metrics() -> dict:
    return json.loads(Path("result/metrics.json").read_text())


@pytest.fixture
def untrained(request: pytest.FixtureRequest) -> str:
    """A network whose SR is roughly the enlarged LR picture."""
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(getattr(request, "param", 2), features=8))
    write_weights(Path("untrained.safetensors"), Weights(network, default_pca()))
    return "--weights=untrained.safetensors"


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "I;16"])
def test_the_tile_size_does_not_change_the_result(untrained: str, mode: str):
    values = np.asarray(open_picture("pictures/a.png").convert("L"))
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else open_picture("pictures/a.png")
    (image if mode == "I;16" else image.convert(mode)).save("photo.png")
    results = []
    for tile in ("auto", "16", "31"):
        assert check(untrained, "--input", "photo.png", "--kernel=gaussian:1", f"--tile={tile}", "--overwrite") == 0
        results.append(open_picture("result/photo.png"))
        assert results[-1].mode == mode
        assert results[-1].size == (168, 144)
    one, *others = (np.asarray(image).astype(int) for image in results)
    for other in others:
        assert np.abs(one - other).max() <= 1


def test_the_self_ensemble_scores_better_with_an_asymmetric_kernel():
    scores = []
    for flags in ([], ["--self_ensemble"]):
        assert check("--test_data=pictures", "--kernel=gaussian:2.2,1,30", *flags) == 0  # with the shipped network
        scores.append(metrics()["mean"]["psnr_y"])
    assert scores[1] > scores[0]


@pytest.mark.slow
@pytest.mark.parametrize("untrained", [1], indirect=True)
def test_scale_1_deblurs_and_denoises(untrained: str):
    flags = ["--kernel=gaussian:1.3", "--noise_level=5", "--save_lr", "--self_ensemble", "--tile=20"]
    assert check(untrained, "--test_data=pictures", *flags) == 0
    assert metrics()["scale"] == 1
    assert open_picture("result/a.png").size == open_picture("result/lr/a.png").size == (84, 72)
    bicubic = metrics()["mean"]["bicubic_psnr_y"]  # at scale 1 the LR picture itself
    assert check(untrained, "--test_data=pictures", "--downsampler=direct", *flags) == 0
    assert metrics()["mean"]["bicubic_psnr_y"] == pytest.approx(bicubic)
    flags = ["--input", "pictures/a.png", "--kernel=gaussian:1.3", "--noise_level=5", "--overwrite"]
    assert check(untrained, *flags) == 0
    assert open_picture("result/a.png").size == (84, 72)


def test_a_result_that_cannot_be_written_fails_the_test(untrained: str, monkeypatch: pytest.MonkeyPatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("srmd.evaluate.restoring.write_picture", fail)
    assert check(untrained, "--input", "pictures", "--kernel=delta") == 1
    assert capsys.readouterr().err == "disk full\n"


def test_a_network_for_bicubic_is_told_an_equivalent_kernel_for_direct_downsampling(
    untrained: str, capsys: pytest.CaptureFixture
):
    flags = ["--kernel=gaussian:1.6", "--downsampler=direct"]
    assert check(untrained, "--test_data=pictures", *flags) == 0
    printed, written = capsys.readouterr().out, metrics()
    assert "applied: kernel gaussian:1.6, noise level 0, downsampler direct" in printed
    assert "assumed: kernel equivalent to gaussian:1.6" in printed
    assert written["degradation"] == {"kernel": "gaussian:1.6", "noise_level": 0, "downsampler": "direct"}
    assert written["assumed"]["kernel"] == "equivalent to gaussian:1.6"
    assert check(untrained, "--input", "pictures/a.png", "--overwrite", *flags) == 0
    assert metrics()["assumed"]["kernel"] == "equivalent to gaussian:1.6"
    assert check(untrained, "--test_data=pictures", *flags, "--assumed_kernel=gaussian:1.6") == 0
    assert metrics()["assumed"]["kernel"] == "gaussian:1.6"


def test_no_equivalent_kernel_is_computed_if_another_kernel_is_assumed(untrained: str):
    corner = np.zeros((31, 31))
    corner[0, 0] = 1  # the inner 15×15 are zero
    np.save("corner.npy", corner)
    flags = ["--test_data=pictures", "--kernel=corner.npy", "--downsampler=direct"]
    assert check(untrained, *flags, "--assumed_kernel=delta") == 0
    assert metrics()["assumed"]["kernel"] == "delta"
    assert check(untrained, *flags) == 2


@pytest.mark.parametrize("file", ["last.safetensors", pytest.param("checkpoint-0000001.pt", marks=pytest.mark.slow)])
def test_a_network_trained_with_the_direct_downsampler_is_tested_with_it(
    untrained: str, file: str, capsys: pytest.CaptureFixture
):
    assert train("run", "--steps=1", "--downsampler=direct") == 0
    weights = f"--weights=run/{file}"
    assert check(weights, "--test_data=pictures", "--kernel=gaussian:1.6") == 0
    assert metrics()["degradation"]["downsampler"] == "direct"
    assert metrics()["assumed"]["kernel"] == "gaussian:1.6"
    assert "warning: this network" not in capsys.readouterr().out
    assert check(weights, "--test_data=pictures", "--downsampler=bicubic") == 0
    assert "warning: this network was trained for the direct downsampler" in capsys.readouterr().out
    assert check(weights, "--test_data=pictures", "--self_ensemble") == 2
    assert capsys.readouterr().err.startswith("--self_ensemble: ")


@needs_networks
@needs_set5
def test_a_published_network_restores_a_directly_downsampled_picture():
    """With the equivalent kernel the PSNR of one picture is at least 4 dB above that with the kernel itself."""
    np.save("wide.npy", gaussian(1.6, size=7))
    flags = [f"--weights={NCNN}/srmdnf_x3.param", f"--pca={PCA}"]
    flags += [f"--test_data={SET5}/butterfly.png", "--kernel=wide.npy", "--downsampler=direct"]
    assert check(*flags) == 0
    assert metrics()["mean"]["psnr_y"] == pytest.approx(30.01, abs=0.05)
    assert check(*flags, "--assumed_kernel=wide.npy") == 0
    assert metrics()["mean"]["psnr_y"] < 26
