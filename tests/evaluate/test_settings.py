"""What a test is asked for, and what it means for a network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srmd.base.errors import InputError
from srmd.cli.requests import parse
from srmd.config import TestSettings as Settings
from srmd.evaluate.settings import resolve_settings
from srmd.kernel.families import gaussian
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights


@pytest.fixture(autouse=True)
def _folder_with_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Image.fromarray(np.eye(20, dtype=np.uint8)).save("labels.png")
    np.save("noise.npy", 20 * np.eye(20))
    np.save("several.npy", np.stack([gaussian(1), gaussian(2)]))


def settings(flags: str, downsampler: str = "bicubic", **shape: object) -> Settings:
    network = SRMD(NetworkConfig(**{"features": 3, "layers": 2} | shape))
    weights = Weights(network, torch.from_numpy(pca_matrix()), {"downsampler": downsampler})
    return resolve_settings(parse(["--mode=test", "--weights=file", *flags.split()]), weights)


def test_the_network_is_told_what_was_applied_unless_said_otherwise():
    found = settings("--kernel=gaussian:2 --noise_level=5")
    assert found.assumed == found.applied
    assert found.assumed.noise == 5
    found = settings("--noise_level=5 --assumed_noise_level=0")
    assert found.assumed.kernels[0].spec == found.applied.kernels[0].spec == "delta"
    assert (found.applied.noise, found.assumed.noise) == (5, 0)


def test_maps_are_told_unless_one_kernel_or_noise_level_is_said_to_be_assumed():
    mapped = "--kernel=delta --kernel=gaussian:2 --regions=labels.png --noise_map=noise.npy"
    found = settings(mapped)
    assert [kernel.spec for kernel in found.assumed.kernels] == ["delta", "gaussian:2"]
    assert found.assumed.noise is found.applied.noise
    found = settings(f"{mapped} --assumed_kernel=gaussian:1 --assumed_noise_level=3")
    assert [kernel.spec for kernel in found.assumed.kernels] == ["gaussian:1"]
    assert found.assumed.noise == 3
    assert len(found.applied.kernels) == 2


@pytest.mark.parametrize(("flags", "told"), [("", 0), (" --kernel_index=1", 1)])  # once for all, or one for each
def test_an_assumed_kernel_is_taken_out_of_its_file_too(flags: str, told: int):
    found = settings(f"--kernel=several.npy --assumed_kernel=several.npy --kernel_index=0{flags}")
    kernels = np.load("several.npy")
    assert np.allclose(found.applied.kernels[0].array, kernels[0])
    assert np.allclose(found.assumed.kernels[0].array, kernels[told])


def test_only_a_network_for_bicubic_is_told_an_equivalent_of_direct_downsampling():
    flags = "--kernel=gaussian:1.6 --downsampler=direct"
    assert settings(flags).assumed.kernels[0].spec == "equivalent to gaussian:1.6"
    for found in (
        settings(flags, downsampler="direct"),
        settings(flags, scale=1),
        settings(f"{flags} --assumed_kernel=gaussian:1.6"),
    ):
        assert found.assumed.kernels[0].spec == "gaussian:1.6"
        assert found.downsampler == "direct"
    assert settings("", downsampler="direct").downsampler == "direct"


def test_a_gaussian_fills_a_larger_window():
    assert settings("--kernel=gaussian:4", kernel_size=21).applied.kernels[0].array.shape == (21, 21)
    assert settings("--kernel=gaussian:4").applied.kernels[0].array.shape == (15, 15)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scale_factor=3", "scale_factor: file is for x2, found 3"),
        ("--input file --kernel=delta --noise_level=9", r"noise_level: file is noise-free \(SRMDNF\), found 9"),
        ("--input file --kernel=delta --noise_map=noise.npy", "noise_map: file is noise-free .* found noise.npy"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(flags: str, message: str):
    with pytest.raises(InputError, match=message):
        settings(flags, conditions=("kernel",))
