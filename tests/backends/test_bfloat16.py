"""Networks in bfloat16."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srmd.backends import bfloat16
from srmd.backends.backend import Backend, make_network_function
from srmd.degradation import Degradation, degradation_map, degrade
from srmd.evaluate.picture import to_array
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.weights.files import read_weights

SHIPPED = Path(__file__).parents[2] / "weights"
TORCH = Backend("torch", "fp32", "cpu")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("srmd*_x[234].safetensors")), ids=lambda path: path.stem)
def test_the_shipped_networks_lose_little_psnr(path: Path):
    weights = read_weights(path)
    scale, conditions = weights.network.config.scale, weights.network.config.conditions
    hr = torch.from_numpy(builtin_test_pictures()["astronaut"][:96, 150:246].copy()).permute(2, 0, 1)[None] / 255
    kernel = gaussian(1.3, size=weights.network.config.kernel_size)
    degradation = Degradation.uniform(torch.from_numpy(kernel)[None].float(), torch.zeros(1))
    lr = degrade(hr, degradation, scale).float()
    maps = degradation_map(degradation, weights.pca, conditions)
    psnr = {}
    for precision in ("fp32", "bf16"):
        run = make_network_function(weights.network, replace(TORCH, precision=precision))
        psnr[precision] = score(to_array(run(lr, maps)), to_array(hr), scale)["psnr_y"]
    assert psnr["bf16"] != psnr["fp32"]
    assert psnr["bf16"] > psnr["fp32"] - 0.03


def test_weights_are_rounded_once_and_not_in_every_call(monkeypatch: pytest.MonkeyPatch):
    rounded, weight_without_rgb = [], bfloat16._weight_without_rgb

    def counted(conv: torch.nn.Conv2d, outputs: slice) -> Tensor:
        rounded.append(conv)
        return weight_without_rgb(conv, outputs)

    monkeypatch.setattr(bfloat16, "_weight_without_rgb", counted)
    network = SRMD(NetworkConfig(features=8, layers=4))
    run = make_network_function(network, replace(TORCH, precision="bf16"))
    assert len(rounded) == 3  # two inner layers and the head
    for _ in range(2):
        run(torch.rand(1, 3, 12, 10), torch.rand(1, network.config.map_channels, 12, 10))
    assert len(rounded) == 3
