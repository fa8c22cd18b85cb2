"""KAIR's state dicts, saved from a network built as KAIR builds it."""

from dataclasses import replace
from pathlib import Path

import pytest
import scipy.io
import torch
from torch import nn

from default_pca import default_pca
from foreign_networks import SMALL, conditions_of, output
from srmd.base.errors import InputError
from srmd.cli import main
from srmd.model import NetworkConfig
from srmd.weights.files import read_weights
from srmd.weights.foreign import KAIR_EPSILON

ROOT = Path(__file__).parents[2]


class Kair(nn.Module):
    """The layers of KAIR's SRMD in one sequence, as its state dict numbers them."""

    def __init__(self, config: NetworkConfig, batch_norm: bool):
        super().__init__()
        features, layers = config.features, [nn.Conv2d(3 + config.map_channels, config.features, 3, 1, 1), nn.ReLU()]
        for _ in range(config.layers - 2):
            norm = [nn.BatchNorm2d(features, KAIR_EPSILON, 0.9)] if batch_norm else []
            layers += [nn.Conv2d(features, features, 3, 1, 1), *norm, nn.ReLU()]
        layers += [nn.Conv2d(features, 3 * config.scale**2, 3, 1, 1), nn.PixelShuffle(config.scale)]
        self.model = nn.Sequential(*layers)

    def forward(self, lr: torch.Tensor, degradation_map: torch.Tensor) -> torch.Tensor:
        return self.model(torch.cat([lr, degradation_map.expand(-1, -1, *lr.shape[-2:])], 1))


def kair_network(config: NetworkConfig, batch_norm: bool = False) -> Kair:
    torch.manual_seed(0)
    network = Kair(config, batch_norm)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.001, 2)
    return network


@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("zipped", [False, True])  # KAIR's own files are older than PyTorch's .zip format
def test_a_kair_network_is_read(tmp_path: Path, noise_free: bool, batch_norm: bool, zipped: bool):
    config = replace(SMALL, conditions=conditions_of(noise_free))
    network = kair_network(config, batch_norm)
    torch.save(network.state_dict(), tmp_path / "srmd.any", _use_new_zipfile_serialization=zipped)
    read = read_weights(tmp_path / "srmd.any")
    assert read.network.config == config
    assert read.pca is None
    torch.testing.assert_close(output(read.network, config), output(network, config))


def kair_state(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = kair_network(SMALL).state_dict() | {key.replace("_", "."): value for key, value in changes.items()}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (kair_state(model_2_bias=None), "found model.2 with weight"),
        (kair_state(model_2_weight=torch.zeros(8, 8, 5, 5)), "8×8×5×5"),
        (kair_state(model_2_weight=torch.zeros(8, 6, 3, 3)), "8×6×3×3"),
        (kair_state(model_0_weight=torch.zeros(8, 7, 3, 3)), "18 or 19 channels in and 3·s² out, found 7 and 27"),
        (kair_state(model_6_weight=torch.zeros(8, 8, 3, 3), model_6_bias=torch.zeros(8)), "19 and 8"),
        (kair_state() | {"model.0.running_var": torch.ones(8)}, "bias, running_var"),
        (kair_state() | {"model.2.running_mean": torch.ones(8), "model.2.running_var": torch.ones(7)}, "batch norm"),
        ({"head.weight": torch.zeros(1)}, "found head.weight"),
        ({"params": kair_state()}, "found params"),
        ({}, "found nothing"),
    ],
)
def test_a_pytorch_file_of_another_network_is_refused(tmp_path: Path, state: dict, found: str):
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(InputError, match=found) as caught:
        read_weights(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


def test_the_p_of_this_project_is_refused_for_foreign_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    scipy.io.savemat("mine.mat", {"P": default_pca().numpy().astype(float)})
    torch.save(kair_state(), "net.pth")
    for pca in ("mine.mat", str(ROOT / "kernels" / "pca.mat")):
        assert main.main(["--mode=test", "--weights=net.pth", f"--pca={pca}", "--visdom=off"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("--pca:")
        assert "found this project's own" in error
    assert main.main(["--mode=test", "--weights=net.pth", "--visdom=off"]) == 2
    assert capsys.readouterr().err == "--pca: needed: the weights contain no P (net.pth)\n"
