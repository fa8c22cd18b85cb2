"""Networks in other people's formats: files written from the formats' definitions, outputs computed independently."""

import itertools
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.signal
import torch
from torch import nn

from published import NCNN, needs_networks
from srmd.base.errors import InputError
from srmd.cli import main
from srmd.kernel.families import gaussian
from srmd.kernel.pca import kernel_codes, pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import read_weights, read_weights_with_pca
from srmd.weights.foreign import KAIR_EPSILON

ROOT = Path(__file__).parents[2]
SMALL = NetworkConfig(scale=3, features=8, layers=4)


def small_network(config: NetworkConfig = SMALL) -> SRMD:
    torch.manual_seed(0)
    return SRMD(config).eval()


@torch.no_grad()
def output(network: nn.Module, config: NetworkConfig) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    told = torch.rand(1, config.map_channels, 1, 1, generator=rng)
    return network.eval()(torch.rand(1, 3, 9, 7, generator=rng), told)


# ncnn


def ncnn_files(folder: Path, network: SRMD, float16: bool = False) -> Path:
    """The network in ncnn's format, written from its definition."""
    convs = [*network.convs, network.head]
    lines = ["7767517", f"{len(convs) + 2} {len(convs) + 2}", "Input input 0 1 b0"]
    data = b""
    for i, conv in enumerate(convs):
        weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        relu = " 9=1" if i < len(convs) - 1 else ""
        lines.append(f"Convolution c{i} 1 1 b{i} b{i + 1} 0={len(bias)} 1=3 4=1 5=1 6={weight.size}{relu}")
        stored = weight.astype("<f2" if float16 else "<f4").tobytes()
        data += struct.pack("<I", 0x01306B47 if float16 else 0) + stored + b"\0" * (-len(stored) % 4)
        data += bias.astype("<f4").tobytes()
    lines.append(f"PixelShuffle output 1 1 b{len(convs)} output 0={network.config.scale}")
    (folder / "net.param").write_text("\n".join(lines) + "\n")
    (folder / "net.bin").write_bytes(data)
    return folder / "net.param"


@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_an_ncnn_network_is_read_by_either_of_its_files(tmp_path: Path, noise_free: bool, suffix: str):
    network = small_network(replace(SMALL, conditions=conditions_of(noise_free)))
    read = read_weights(ncnn_files(tmp_path, network).with_suffix(suffix))
    assert read.network.config == network.config
    assert torch.equal(output(read.network, network.config), output(network, network.config))
    assert read.pca is None


def test_an_ncnn_network_in_float16_is_read(tmp_path: Path):
    network = small_network()
    read = read_weights(ncnn_files(tmp_path, network, float16=True)).network
    assert (output(read, SMALL) - output(network, SMALL)).abs().max() < 5e-3


def test_an_ncnn_file_that_is_cut_or_alone_is_refused(tmp_path: Path):
    path = ncnn_files(tmp_path, small_network())
    data = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(data[:-8])
    with pytest.raises(InputError, match="cut short"):
        read_weights(path)
    path.with_suffix(".bin").write_bytes(data + b"\0" * 4)
    with pytest.raises(InputError, match=f"expected {len(data)} bytes"):
        read_weights(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match="belong together"):
        read_weights(path)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("PixelShuffle", "Deconvolution", "Deconvolution"),
        ("0=3\n", "0=3 1=1\n", "mode 1"),
        ("0=3\n", "0=2\n", "shuffled by 2"),
        ("1=3", "1=5", "1: 5"),
        (" 9=1", "", "ReLU behind all but the last"),
        ("6=", "6=x", "3×3"),
        ("0=8", "0=0", "0: 0"),
    ],
)
def test_an_ncnn_network_of_another_architecture_is_refused(tmp_path: Path, old: str, new: str, found: str):
    path = ncnn_files(tmp_path, small_network())
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=found):
        read_weights(path)


@needs_networks
@pytest.mark.parametrize("name", ["srmd_x2", "srmd_x3", "srmd_x4", "srmdnf_x2", "srmdnf_x3", "srmdnf_x4"])
def test_the_published_networks_load(name: str, tmp_path: Path):
    for suffix in (".bin", ".param"):
        shutil.copy(NCNN / f"{name}{suffix}", tmp_path)
    config = read_weights(tmp_path / f"{name}.param").network.config
    assert config == NetworkConfig(int(name[-1]), conditions=conditions_of("nf" in name))
    assert output(read_weights(tmp_path / f"{name}.bin").network, config).isfinite().all()


def test_no_value_in_an_ncnn_bin_makes_it_another_format(tmp_path: Path):
    """Its ninth byte, where a header in JSON opens in .safetensors, belongs to a weight."""
    network = small_network()
    with torch.no_grad():
        network.convs[0].weight[0, 0, 0, 1] = struct.unpack("<f", b"{\0\0\x3f")[0]
    path = ncnn_files(tmp_path, network).with_suffix(".bin")
    assert path.read_bytes()[8:9] == b"{"
    assert torch.equal(output(read_weights(path).network, SMALL), output(network, SMALL))


# KAIR


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

    def forward(self, lr: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return self.model(torch.cat([lr, told.expand(-1, -1, *lr.shape[-2:])], 1))


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
        (kair_state(model_2_bias=None), "found model.2 of weight"),
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


# MatConvNet


def conditions_of(noise_free: bool) -> tuple[str, ...]:
    return ("kernel",) if noise_free else ("kernel", "noise")


def matconvnet(noise_free: bool, batch_norm: bool, scale: int = 3, colours: int = 3) -> dict:
    """A net as MatConvNet has it, with random numbers in every place."""
    rng = np.random.default_rng(0)
    layers = SMALL.layers
    widths = [colours + 15 + (not noise_free), *[SMALL.features] * (layers - 1), colours * scale**2]

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    net = [{"type": "concat"}]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weights = [numbers(3, 3, inputs, outputs), numbers(outputs, 1)]
        net.append({"type": "conv", "weights": weights, "stride": 1.0, "pad": 1.0, "dilate": 1.0, "opts": []})
        if batch_norm and 0 < number < layers - 1:
            moments = np.abs(numbers(outputs, 2)) + 0.5
            weights = [numbers(outputs, 1), numbers(outputs, 1), moments]
            net.append({"type": "bnorm", "weights": weights, "epsilon": 1e-4})
        if number < layers - 1:
            net.append({"type": "relu", "leak": 0.0})
    return {"layers": [*net, {"type": "SubP", "scale": float(scale)}], "meta": {"P": pca_matrix().astype(float)}}


def simulate(net: dict, lr: np.ndarray, told: np.ndarray) -> np.ndarray:
    """What MatConvNet computes: (h, w, 3) and (C,) → (s·h, s·w, 3), loop by loop."""
    x = lr
    for layer in net["layers"]:
        if layer["type"] == "concat":
            x = np.concatenate([x, np.broadcast_to(told, (*x.shape[:2], len(told)))], 2)
        elif layer["type"] == "conv":
            filters, biases = layer["weights"]
            planes = [
                sum(scipy.signal.correlate2d(x[..., i], filters[..., i, o], "same") for i in range(x.shape[2]))
                for o in range(filters.shape[3])
            ]
            x = np.stack(planes, 2) + biases.ravel()
        elif layer["type"] == "bnorm":
            gain, bias, moments = layer["weights"]
            x = gain.ravel() * (x - moments[:, 0]) / moments[:, 1] + bias.ravel()
        elif layer["type"] == "relu":
            x = np.maximum(x, 0)
        elif layer["type"] == "SubP":
            x = sub_pixels(x, int(layer["scale"]))
    return x


def sub_pixels(x: np.ndarray, scale: int) -> np.ndarray:
    """Channel i of a colour's s², counted from 0, is the pixel of row i mod s and column i div s."""
    y = np.zeros((x.shape[0] * scale, x.shape[1] * scale, x.shape[2] // scale**2))
    for colour in range(y.shape[2]):
        for i in range(scale**2):
            y[i % scale :: scale, i // scale :: scale, colour] = x[..., colour * scale**2 + i]
    return y


def write_matlab_5(path: Path, **variables: object) -> None:
    """As MATLAB's `save` writes it, by SciPy."""

    def value(item: object) -> object:
        if isinstance(item, dict):
            return {key: value(member) for key, member in item.items()}
        if isinstance(item, list):
            cell = np.empty((1, len(item)), object)
            cell[0, :] = [value(member) for member in item]
            return cell
        return item

    with path.open("wb") as file:  # by its name SciPy would add .mat
        scipy.io.savemat(file, value(variables), do_compression=True)


def write_matlab_73(path: Path, **variables: object) -> None:
    """As MATLAB's `save -v7.3` lays it out: structs are groups, cells are references into #refs#, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")

        def write(group: h5py.Group, name: str, item: object) -> h5py.Dataset | h5py.Group:
            if isinstance(item, dict):
                made, kind = group.create_group(name), "struct"
                for key, member in item.items():
                    write(made, key, member)
            elif isinstance(item, (list, np.ndarray)) and len(item) == 0:  # the data are the lengths of the axes
                made = group.create_dataset(name, data=np.zeros(2, np.uint64))
                made.attrs["MATLAB_empty"], kind = np.uint8(1), "cell" if isinstance(item, list) else "double"
            elif isinstance(item, list):
                references = [[write(refs, f"r{len(refs)}", member).ref] for member in item]
                made, kind = group.create_dataset(name, data=references, dtype=h5py.ref_dtype), "cell"
            elif isinstance(item, str):
                codes = np.array([[ord(letter)] for letter in item], np.uint16)
                made, kind = group.create_dataset(name, data=codes), "char"
            else:
                array = np.atleast_2d(item)
                kind = "single" if array.dtype == np.float32 else "double"
                made = group.create_dataset(name, data=array.T)
            made.attrs["MATLAB_class"] = np.bytes_(kind)
            return made

        for name, item in variables.items():
            write(file, name, item)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as file:
        file.write(header)


WRITERS = [write_matlab_5, write_matlab_73]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_matconvnet_network_computes_what_matconvnet_does(
    tmp_path: Path, write: Callable, noise_free: bool, batch_norm: bool
):
    net = matconvnet(noise_free, batch_norm)
    write(tmp_path / "SRMDx3", net=net)
    read = read_weights(tmp_path / "SRMDx3")
    assert read.network.config == replace(SMALL, conditions=conditions_of(noise_free))
    np.testing.assert_array_equal(read.pca, pca_matrix())
    lr = np.random.default_rng(1).random((9, 7, 3))
    told = kernel_codes(gaussian(2.6, 1.0, 30), net["meta"]["P"])
    told = told if noise_free else np.append(told, 15 / 255)
    with torch.no_grad():
        sr = read.network(
            *(torch.from_numpy(a).float() for a in (lr.transpose(2, 0, 1)[None], told[None, :, None, None]))
        )
    np.testing.assert_allclose(sr[0].permute(1, 2, 0), simulate(net, lr, told), atol=2e-4)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_network_for_grey_pictures_restores_them(tmp_path: Path, scale: int):
    """As the authors' SRMDx1_gray."""
    net = matconvnet(noise_free=False, batch_norm=False, scale=scale, colours=1)
    write_matlab_5(tmp_path / "net.mat", net=net)
    read = read_weights(tmp_path / "net.mat")
    assert read.network.config == replace(SMALL, scale=scale)
    rgb, told = np.random.default_rng(1).random((9, 7, 3)), np.append(kernel_codes(gaussian(1.3), pca_matrix()), 0.1)
    with torch.no_grad():
        lr = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        sr = read.network(lr, torch.from_numpy(told)[None, :, None, None].float())[0]
    for colour in sr:
        np.testing.assert_allclose(colour, simulate(net, rgb[..., 1:2], told)[..., 0], atol=2e-4)


@pytest.mark.parametrize("write", WRITERS)
def test_a_matconvnet_network_in_training_has_a_loss_no_p_and_empty_biases(tmp_path: Path, write: Callable):
    """As the authors' training code saves it."""
    net = matconvnet(noise_free=False, batch_norm=False)
    net["layers"].append({"type": "loss"})
    net["layers"][1]["weights"][1] = np.zeros((0, 0))
    net.pop("meta")
    write(tmp_path / "net.mat", net=net)
    read = read_weights(tmp_path / "net.mat")
    assert read.pca is None
    assert torch.equal(read.network.convs[0].bias, torch.zeros(8))


@pytest.mark.parametrize("write", WRITERS)
def test_p_of_another_size_says_what_the_network_is_told(tmp_path: Path, write: Callable):
    net = matconvnet(noise_free=False, batch_norm=False)
    net["layers"][1]["weights"][0] = np.zeros((3, 3, 13, 8), np.float32)
    net["meta"]["P"] = np.zeros((10, 21**2))
    write(tmp_path / "net.mat", net=net)
    config = read_weights(tmp_path / "net.mat").network.config
    assert config == replace(SMALL, conditions=("kernel",), pca_dim=10, kernel_size=21)


def broken(change: Callable[[list[dict], dict], object]) -> dict:
    net = matconvnet(noise_free=False, batch_norm=True)
    change(net["layers"], net)
    return {"net": net}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"kernel": np.ones((15, 15)), "note": "mine"}, "found kernel 15×15, note"),
        ({"net": {"layers": "none"}}, "found net"),
        (broken(lambda layers, net: layers.pop(2)), "found concat conv conv"),
        (broken(lambda layers, net: layers[1].update(pad=0.0)), "padding"),
        (broken(lambda layers, net: layers[2].update(leak=0.1)), "leaky"),
        (broken(lambda layers, net: layers[1]["weights"].pop()), "2 arrays"),
        (broken(lambda layers, net: layers[4]["weights"].__setitem__(2, np.ones((8, 3)))), "batch norm"),
        (broken(lambda layers, net: layers[1]["weights"].__setitem__(0, np.ones((3, 3)))), r"array of \(3, 3\)"),
        (broken(lambda layers, net: layers[-1].update(scale=2.0)), "shuffled by 2"),
        (broken(lambda layers, net: layers.pop()), "shuffled by 1"),
        (broken(lambda layers, net: net["meta"].update(P=np.ones((15, 200)))), "found P 15×200"),
    ],
)
def test_a_matlab_file_of_something_else_is_refused(tmp_path: Path, write: Callable, variables: dict, found: str):
    write(tmp_path / "net.mat", **variables)
    with pytest.raises(InputError, match=found) as caught:
        read_weights(tmp_path / "net.mat")
    assert "\n" not in str(caught.value)


def test_a_matlab_file_that_is_cut_is_refused(tmp_path: Path):
    for write in WRITERS:
        write(tmp_path / "net.mat", net=matconvnet(noise_free=False, batch_norm=False))
        (tmp_path / "net.mat").write_bytes((tmp_path / "net.mat").read_bytes()[:-2000])
        with pytest.raises(InputError, match="not a MATLAB file"):
            read_weights(tmp_path / "net.mat")


# Which P


def test_our_own_p_is_refused_for_foreign_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    scipy.io.savemat("mine.mat", {"P": pca_matrix().astype(float)})
    torch.save(kair_state(), "net.pth")
    for pca in ("mine.mat", str(ROOT / "kernels" / "pca.mat")):
        assert main.main(["--mode=test", "--weights=net.pth", f"--pca={pca}", "--visdom=off"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("--pca:")
        assert "found this project's own" in error
    assert main.main(["--mode=test", "--weights=net.pth", "--visdom=off"]) == 2
    assert capsys.readouterr().err == "--pca: needed: the weights carry no P (net.pth)\n"


def test_foreign_weights_take_the_p_they_were_trained_with(tmp_path: Path):
    pca = np.random.default_rng(0).random((15, 225))
    scipy.io.savemat(tmp_path / "P.mat", {"P": pca})
    read = read_weights_with_pca(ncnn_files(tmp_path, small_network()), tmp_path / "P.mat")
    torch.testing.assert_close(read.pca, torch.from_numpy(pca).float())


def test_ncnn_weights_in_8_bits_are_refused(tmp_path: Path):
    path = ncnn_files(tmp_path, small_network())
    data = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(struct.pack("<I", 0x000D4B38) + data[4:])
    with pytest.raises(InputError, match=r"net\.bin: expected weights in float32 or float16, found the tag 0x000d4b38"):
        read_weights(path)
