"""Pictures whose red, green and blue are equal are restored as one channel, and keep the channels of their file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from picture_files import open_picture
from srmd.cli import main
from srmd.pictures.photos import builtin_test_pictures


@pytest.fixture(scope="module")
def restorer() -> srmd.Restorer:
    return srmd.load("srmd_x2", device="cpu", precision="fp32", engine="torch")


@pytest.fixture(scope="module")
def noisy_grey() -> np.ndarray:
    """A grey picture (40, 48), uint8, with noise of level 25."""
    photo = builtin_test_pictures()["chelsea"][100:140, 150:198, 1].astype(float)
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    return np.rint(np.clip(photo + noise, 0, 255)).astype(np.uint8)


def test_equal_channels_stay_equal_in_arrays_tensors_and_pil_pictures(restorer: srmd.Restorer, noisy_grey: np.ndarray):
    grey = restorer.restore(noisy_grey, "gaussian:1.0", noise_level=25)
    rgb = np.dstack([noisy_grey] * 3)
    results = [
        restorer.restore(rgb, "gaussian:1.0", noise_level=25),
        np.asarray(restorer.restore(Image.fromarray(rgb), "gaussian:1.0", noise_level=25)),
        restorer.restore(torch.from_numpy(rgb).permute(2, 0, 1), "gaussian:1.0", noise_level=25).permute(1, 2, 0),
    ]
    for result in results:
        np.testing.assert_array_equal(result, np.dstack([grey] * 3))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_file_with_equal_channels_keeps_its_mode(
    mode: str, noisy_grey: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noisy_grey).convert("RGB").convert(mode).save("noisy.png")
    flags = ["--kernel=gaussian:1.0", "--noise_level=25", "--output=out", "--engine=torch", "--precision=fp32"]
    assert main.main(["noisy.png", *flags, "--visdom=off"]) == 0
    result = open_picture("out/noisy.png")
    assert result.mode == mode
    rgb = np.asarray(result.convert("RGB"))
    assert (rgb == rgb[..., :1]).all()
