"""The network, P and kernels that a training run starts with."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from foreign_networks import ncnn_files, small_network
from published import NCNN, PCA, needs_networks
from small_runs import load_only_checkpoint, train, write_own_kernels, write_x3_weights
from srmd.base.paths import shipped_folder
from srmd.cli import main
from srmd.kernel.families import gaussian
from srmd.kernel.pca import kernel_codes
from srmd.model import SRMD, NetworkConfig
from srmd.solver import Solver
from srmd.train.batches import Batch, Batches
from srmd.weights.files import Weights, read_weights, read_weights_with_pca, write_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")


# --- initial weights


def test_a_run_starts_from_the_weights_of_another_scale_and_keeps_their_p(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # many features are dormant on patches of 8×8
    source = write_x3_weights("first.safetensors")
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors") == 0
    checkpoint = load_only_checkpoint("run")
    assert torch.equal(checkpoint.pca, source.pca)
    expected = source.network.convs[5].weight.detach()
    torch.testing.assert_close(checkpoint.network["convs.5.weight"], expected, atol=1e-6, rtol=0)


def test_a_network_that_is_told_of_jpeg_starts_from_weights_that_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)
    source = write_x3_weights("first.safetensors")
    flags = ["--conditions=kernel,noise,jpeg", "--scale_factor=3"]
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors", *flags) == 0
    network = read_weights(Path("run/last.safetensors")).network
    assert network.config.conditions == ("kernel", "noise", "jpeg")
    first, source_first = network.convs[0].weight, source.network.convs[0].weight
    torch.testing.assert_close(first[:, :-3], source_first, atol=1e-6, rtol=0)
    assert 0 < first[:, -3:].abs().max() < 1e-6  # one step of a tiny learning rate from 0: the new channels learn
    assert main.main(["--mode=test", "--weights=run/last.safetensors", "--test_data=pictures/a.png"]) == 0
    assert train("run", "--resume", "--conditions=kernel,noise") == 2


def test_a_network_with_batch_norm_does_not_start_from_weights_without(capsys: pytest.CaptureFixture):
    write_x3_weights("first.safetensors")
    assert train("run", "--steps=1", "--batch_norm", "--weights=first.safetensors") == 2
    assert capsys.readouterr().err.startswith("--batch_norm: expected weights of a network with batch norm")


def test_initial_weights_without_p_are_refused(capsys: pytest.CaptureFixture):
    network = SRMD(NetworkConfig(features=4, layers=3))
    convs = {"model.0": network.convs[0], "model.2": network.convs[1], "model.4": network.head}
    state = {f"{name}.{key}": tensor for name, conv in convs.items() for key, tensor in conv.state_dict().items()}
    torch.save(state, "kair.pth")  # KAIR's format has no P
    assert train("run", "--steps=1", "--weights=kair.pth") == 2
    assert capsys.readouterr().err == "--pca: needed: the weights contain no P (kair.pth)\n"


def write_published_network(features: int = 16) -> tuple[SRMD, np.ndarray]:
    """Writes net.param, net.bin and pca.mat as the published networks have them; the network and its P."""
    network = small_network(NetworkConfig(features=features, layers=3))
    ncnn_files(Path(), network)
    pca = np.linalg.qr(np.random.default_rng(0).standard_normal((225, 15)))[0].T.astype(np.float32)
    scipy.io.savemat("pca.mat", {"P": pca})
    return network, pca


def test_a_run_starts_from_a_published_network_and_its_p(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # many features are dormant on patches of 8×8
    source, pca = write_published_network()
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=net.param", "--pca=pca.mat") == 0
    saved = read_weights(Path("run/last.safetensors"))
    assert torch.equal(saved.pca, torch.from_numpy(pca))
    for key in ("convs.0.weight", "convs.1.weight"):
        expected = source.state_dict()[key]
        torch.testing.assert_close(saved.network.state_dict()[key], expected, atol=1e-6, rtol=0)
    assert json.loads(Path("run/config.json").read_text())["pca"] == "pca.mat"
    assert train("run", "--resume") == 0


def test_p_is_refused_for_weights_that_contain_it(capsys: pytest.CaptureFixture):
    write_published_network()
    write_x3_weights("first.safetensors")
    assert train("run", "--steps=1", "--weights=first.safetensors", "--pca=pca.mat") == 2
    expected = "--pca: not needed: the weights contain their own P (first.safetensors)\n"
    assert capsys.readouterr().err == expected


@pytest.mark.slow
@needs_networks
def test_a_run_starts_from_the_published_srmd_x2(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.train.setup.NetworkConfig", NetworkConfig)  # with 128 features, as it has
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)
    flags = ["--steps=1", "--lr=1e-9", f"--weights={NCNN / 'srmd_x2.param'}", f"--pca={PCA}"]
    assert train("run", *flags) == 0
    saved, source = read_weights(Path("run/last.safetensors")), read_weights_with_pca(NCNN / "srmd_x2.param", PCA)
    assert torch.equal(saved.pca, source.pca)
    lr, degradation_map = torch.rand(1, 3, 12, 12), torch.full((1, source.network.config.map_channels, 1, 1), 0.1)
    with torch.no_grad():
        outputs = [weights.network.eval()(lr, degradation_map) for weights in (saved, source)]
    torch.testing.assert_close(*outputs, atol=1e-3, rtol=0)


def test_broken_weights_are_refused_before_pictures_are_packed(capsys: pytest.CaptureFixture):
    Path("no.weights").write_text("text")
    assert train("run", "--weights=no.weights") == 2
    assert capsys.readouterr().err.startswith("--weights: no.weights")
    assert not Path("data").exists()


def test_weights_of_a_network_with_another_number_of_features_are_refused(capsys: pytest.CaptureFixture):
    write_weights(Path("narrow.safetensors"), Weights(SRMD(NetworkConfig(features=8)), torch.zeros(15, 225)))
    assert train("run", "--steps=1", "--weights=narrow.safetensors") == 2
    expected = "--weights: expected a network with 16 features, found 8 in narrow.safetensors\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("flag", ["own kernels", "--pca_dim=20", "--kernel_size=21"])
def test_the_first_layer_is_reprojected_to_a_new_p(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # many features are dormant on patches of 8×8
    source = write_x3_weights("first.safetensors")
    if flag == "own kernels":
        flag = write_own_kernels()
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors", flag) == 0
    message = "the first layer of first.safetensors is reprojected to the run's P"
    assert message in capsys.readouterr().out
    checkpoint = load_only_checkpoint("run")
    size, dim = (checkpoint.network_config[name] for name in ("kernel_size", "pca_dim"))
    assert checkpoint.pca.shape == (dim, size**2)

    def response(weight: torch.Tensor, pca: torch.Tensor, size: int) -> torch.Tensor:
        """What the first layer computes from the code of a Gaussian, (features, 3, 3)."""
        code = kernel_codes(torch.from_numpy(gaussian(1.3, 1.0, 30, size)).float(), pca)
        return weight[:, 3 : 3 + len(code)].transpose(1, -1) @ code

    old = response(source.network.convs[0].weight, source.pca, 15)
    new = response(checkpoint.network["convs.0.weight"], checkpoint.pca, size)
    assert (old - new).norm() < 0.1 * old.norm()


@pytest.mark.parametrize(("name", "value"), [("pca_dim", 20), ("kernel_size", 21)])
def test_a_shorter_code_or_smaller_window_than_the_initial_weights_have_is_refused(
    name: str, value: int, capsys: pytest.CaptureFixture
):
    config = NetworkConfig(features=16, **{name: value})
    weights = Weights(SRMD(config), torch.zeros(config.pca_dim, config.kernel_size**2))
    write_weights(Path("wide.safetensors"), weights)
    assert train("run", "--steps=1", "--weights=wide.safetensors") == 2
    expected = f"--{name}: expected at least {value}, as wide.safetensors has, found 15\n"
    assert capsys.readouterr().err == expected


# --- own kernels and larger windows


def test_kernel_codes_of_own_kernels_are_computed_with_their_own_p(monkeypatch: pytest.MonkeyPatch):
    batches, draw = [], Batches.draw

    def record_batch(self: Batches, *numbers: object) -> Batch:
        batches.append(draw(self, *numbers))
        return batches[-1]

    monkeypatch.setattr(Batches, "draw", record_batch)
    flags = [write_own_kernels(), "--gaussian_share=0", "--pca_dim=30", "--noise_free"]
    assert train("run", "--steps=2", *flags) == 0
    weights = read_weights(Path("run/last.safetensors"))
    assert weights.pca.shape == (30, 225)
    assert weights.network.config.map_channels == 30
    own_kernels = torch.from_numpy(np.load("motion.npy")).float()
    for batch in batches:
        assert all((kernel - own_kernels).abs().amax((1, 2)).min() < 1e-7 for kernel in batch.kernels)
        torch.testing.assert_close(batch.degradation_map[..., 0, 0], kernel_codes(batch.kernels, weights.pca))


def test_a_network_with_a_larger_window_is_trained_and_tested():
    assert train("run", "--steps=2", write_own_kernels(size=21), "--kernel_size=21", "--pca_dim=20") == 0
    weights = read_weights(Path("run/last.safetensors"))
    assert (weights.network.config.kernel_size, weights.pca.shape) == (21, (20, 441))
    np.save("one.npy", np.load("motion.npy")[0])
    flags = ["--weights=run/last.safetensors", "--test_data=pictures", "--kernel=one.npy", "--visdom=off"]
    assert main.main(["--mode=test", "--output=result", "--device=cpu", *flags]) == 0
    assert Path("result/a.png").exists()


@pytest.mark.parametrize(("size", "file"), [(15, "pca.mat"), (21, "pca_21.mat")])
def test_gaussians_in_a_window_of_the_package_have_its_p(size: int, file: str):
    assert train("run", "--steps=1", f"--kernel_size={size}") == 0
    pca = read_weights(Path("run/last.safetensors")).pca
    assert torch.equal(pca, torch.from_numpy(scipy.io.loadmat(shipped_folder("kernels") / file)["P"]))


def test_a_larger_window_works_with_gaussians_alone():
    assert train("run", "--steps=1", "--kernel_size=23") == 0
    assert read_weights(Path("run/last.safetensors")).pca.shape == (15, 529)
