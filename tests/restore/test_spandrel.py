"""Programs that use spandrel load the files of this package and compute what this package does."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.torch import load_file, save_file

from exported import detailed_network
from srmd.backends.backend import Backend
from srmd.base.errors import InputError
from srmd.degradation import Degradation, degradation_map
from srmd.kernel.families import gaussian
from srmd.kernel.pca import pca_matrix
from srmd.model import NetworkConfig
from srmd.restore.restorer import Restorer
from srmd.weights.files import CONFIG, Weights, weights_bytes, write_weights

spandrel = pytest.importorskip("spandrel", reason="spandrel is not installed (requirements-engines.txt)")
SMALL = NetworkConfig(3, features=8, layers=4)


@pytest.fixture
def registry() -> "spandrel.ArchRegistry":
    """Spandrel's own architectures and SRMD; programs share one registry, which tests leave as it is."""
    from srmd.restore.spandrel import register

    registry = spandrel.MAIN_REGISTRY.copy()
    register(registry)
    register(registry)  # has no effect
    return registry


def small_weights(config: NetworkConfig = SMALL) -> Weights:
    return Weights(detailed_network(config), torch.from_numpy(pca_matrix()))


def lr_picture() -> np.ndarray:
    return skimage.data.astronaut()[40:88, 200:260]


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


def as_picture(sr: torch.Tensor) -> np.ndarray:
    return sr[0].permute(1, 2, 0).numpy()


def restored(weights: Weights, lr: np.ndarray, *known: object) -> np.ndarray:
    """SR in 0 to 1 of LR, restored by this package, with what is known or else estimated."""
    return Restorer(weights, Backend("torch", "fp32", "cpu")).restore(lr.astype(np.float32) / 255, *known)


@pytest.mark.parametrize("conditions", [("kernel",), ("kernel", "noise"), ("noise", "kernel")])
def test_a_file_with_a_degradation_built_in_restores_with_it(
    conditions: tuple[str, ...], registry: "spandrel.ArchRegistry", tmp_path: Path
):
    config = NetworkConfig(3, conditions=conditions, features=8, layers=4)
    weights, kernel, noise_level = small_weights(config), gaussian(2.6, 1.0, 30), 15 * ("noise" in conditions)
    degradation = Degradation.uniform(torch.from_numpy(kernel)[None].float(), torch.tensor([float(noise_level)]))
    baked = degradation_map(degradation, weights.pca, conditions)
    (tmp_path / "net.safetensors").write_bytes(weights_bytes(weights, degradation_map=baked))
    model = spandrel.ModelLoader(registry=registry).load_from_file(tmp_path / "net.safetensors")
    assert (model.architecture.id, model.scale, model.purpose) == ("SRMD", 3, "SR")
    assert model.tiling == spandrel.ModelTiling.SUPPORTED
    expected = restored(weights, lr_picture(), kernel, noise_level)
    np.testing.assert_allclose(as_picture(model(as_tensor(lr_picture()))), expected, atol=1e-4, rtol=0)


def test_a_file_without_a_degradation_estimates_it_from_each_picture(registry: "spandrel.ArchRegistry", tmp_path: Path):
    weights = small_weights()
    write_weights(tmp_path / "net.safetensors", weights)
    random_state = torch.get_rng_state()
    model = spandrel.ModelLoader(registry=registry).load_from_file(tmp_path / "net.safetensors")
    assert torch.equal(torch.get_rng_state(), random_state)  # which belongs to the program
    assert model.tiling == spandrel.ModelTiling.DISCOURAGED
    noisy = np.random.default_rng(0).normal(lr_picture(), 20).clip(0, 255).astype(np.uint8)
    results = model.model(torch.cat([as_tensor(lr_picture()), as_tensor(noisy)])).detach().clamp(0, 1)
    for sr, lr in zip(results, (lr_picture(), noisy), strict=True):
        np.testing.assert_allclose(as_picture(sr[None]), restored(weights, lr), atol=1e-4, rtol=0)


def test_float16_rounds_little(registry: "spandrel.ArchRegistry", tmp_path: Path):
    weights = small_weights()
    write_weights(tmp_path / "net.safetensors", weights, torch.float16)
    model = spandrel.ModelLoader(registry=registry).load_from_file(tmp_path / "net.safetensors").half()
    sr = model(as_tensor(lr_picture()).half())
    assert sr.dtype == torch.float16
    assert np.abs(as_picture(sr.float()) - restored(weights, lr_picture())).max() < 0.02


def test_shipped_networks_are_recognised(registry: "spandrel.ArchRegistry"):
    root = Path(__file__).parents[2]
    model = spandrel.ModelLoader(registry=registry).load_from_file(root / "weights" / "srmdnf_x4.safetensors")
    assert (model.architecture.id, model.scale, model.tags[0]) == ("SRMD", 4, "SRMDNF")


def test_a_broken_configuration_is_an_error(registry: "spandrel.ArchRegistry", tmp_path: Path):
    write_weights(tmp_path / "net.safetensors", small_weights())
    tensors = load_file(tmp_path / "net.safetensors")
    tensors[CONFIG] = torch.tensor(list(b"{}"), dtype=torch.uint8)
    save_file(tensors, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="SRMD: expected a network's configuration"):
        spandrel.ModelLoader(registry=registry).load_from_file(tmp_path / "net.safetensors")
