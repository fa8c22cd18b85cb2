"""How the request of a test and the weights become its settings."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from default_pca import default_pca
from srmd.base.errors import InputError
from srmd.cli.requests import parse
from srmd.config import TestSettings as Settings
from srmd.evaluate.settings import resolve_settings
from srmd.kernel.families import gaussian
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
    weights = Weights(network, default_pca(), {"downsampler": downsampler})
    return resolve_settings(parse(["--mode=test", "--weights=file", *flags.split()]), weights)


def test_the_applied_degradation_is_assumed_by_default():
    resolved = settings("--kernel=gaussian:2 --noise_level=5")
    assert resolved.assumed == resolved.applied
    assert resolved.assumed.noise == 5
    resolved = settings("--noise_level=5 --assumed_noise_level=0")
    assert resolved.assumed.kernels[0].spec == resolved.applied.kernels[0].spec == "delta"
    assert (resolved.applied.noise, resolved.assumed.noise) == (5, 0)


def test_maps_are_assumed_unless_one_kernel_or_noise_level_is_assumed_instead():
    mapped = "--kernel=delta --kernel=gaussian:2 --regions=labels.png --noise_map=noise.npy"
    resolved = settings(mapped)
    assert [kernel.spec for kernel in resolved.assumed.kernels] == ["delta", "gaussian:2"]
    assert resolved.assumed.noise is resolved.applied.noise
    resolved = settings(f"{mapped} --assumed_kernel=gaussian:1 --assumed_noise_level=3")
    assert [kernel.spec for kernel in resolved.assumed.kernels] == ["gaussian:1"]
    assert resolved.assumed.noise == 3
    assert len(resolved.applied.kernels) == 2


@pytest.mark.parametrize(("flags", "assumed"), [("", 0), (" --kernel_index=1", 1)])  # one index for all files, or each
def test_kernel_index_also_chooses_the_assumed_kernel(flags: str, assumed: int):
    resolved = settings(f"--kernel=several.npy --assumed_kernel=several.npy --kernel_index=0{flags}")
    kernels = np.load("several.npy")
    assert np.allclose(resolved.applied.kernels[0].array, kernels[0])
    assert np.allclose(resolved.assumed.kernels[0].array, kernels[assumed])


def test_a_network_for_bicubic_assumes_an_equivalent_kernel_with_direct_downsampling():
    flags = "--kernel=gaussian:1.6 --downsampler=direct"
    assert settings(flags).assumed.kernels[0].spec == "equivalent to gaussian:1.6"
    for resolved in (
        settings(flags, downsampler="direct"),
        settings(flags, scale=1),
        settings(f"{flags} --assumed_kernel=gaussian:1.6"),
    ):
        assert resolved.assumed.kernels[0].spec == "gaussian:1.6"
        assert resolved.downsampler == "direct"
    assert settings("", downsampler="direct").downsampler == "direct"


def test_a_gaussian_is_computed_for_a_larger_window():
    resolved = settings("--kernel=gaussian:3.6", kernel_size=21)
    for degradation in (resolved.applied, resolved.assumed):
        assert np.array_equal(degradation.kernels[0].array, gaussian(3.6, size=21))
    assert settings("--kernel=gaussian:4").applied.kernels[0].array.shape == (15, 15)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scale_factor=3", "scale_factor: expected 2, the scale of file, found 3"),
        ("--input file --kernel=delta --noise_level=9", r"noise_level: file takes no noise level, found 9"),
        (
            "--input file --kernel=delta --noise_map=noise.npy",
            "noise_map: file .* noise level, found noise.npy",
        ),
    ],
)
def test_a_request_that_does_not_suit_the_network_is_refused(flags: str, message: str):
    with pytest.raises(InputError, match=message):
        settings(flags, conditions=("kernel",))
