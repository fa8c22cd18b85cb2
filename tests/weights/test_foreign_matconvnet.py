"""MatConvNet files of MATLAB 5 and 7.3, written here from their definitions, and outputs computed independently."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.signal
import torch

from default_pca import default_pca
from foreign_networks import SMALL, conditions_of, write_matlab_5
from srmd.base.errors import InputError
from srmd.kernel.families import gaussian
from srmd.kernel.pca import kernel_codes
from srmd.weights.files import read_weights


def matconvnet_net(noise_free: bool, batch_norm: bool, scale: int = 3, colours: int = 3) -> dict:
    """A network in the form of MatConvNet's variable `net`, with random weights."""
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
    return {
        "layers": [*net, {"type": "SubP", "scale": float(scale)}],
        "meta": {"P": default_pca().numpy().astype(float)},
    }


def matconvnet_output(net: dict, lr: np.ndarray, degradation_map: np.ndarray) -> np.ndarray:
    """The output of MatConvNet for LR (h, w, 3) and a uniform map (C,): (s·h, s·w, 3), layer by layer."""
    x = lr
    for layer in net["layers"]:
        if layer["type"] == "concat":
            x = np.concatenate([x, np.broadcast_to(degradation_map, (*x.shape[:2], len(degradation_map)))], 2)
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
            x = matconvnet_sub_pixels(x, int(layer["scale"]))
    return x


def matconvnet_sub_pixels(x: np.ndarray, scale: int) -> np.ndarray:
    """Channel i of a colour's s², counted from 0, is the pixel of row i mod s and column i div s."""
    y = np.zeros((x.shape[0] * scale, x.shape[1] * scale, x.shape[2] // scale**2))
    for colour in range(y.shape[2]):
        for i in range(scale**2):
            y[i % scale :: scale, i // scale :: scale, colour] = x[..., colour * scale**2 + i]
    return y


def write_matlab_73(path: Path, **variables: object) -> None:
    """Writes a MATLAB 7.3 file: structs are groups, cells are references into #refs#, axes are reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")

        def write(group: h5py.Group, name: str, item: object) -> h5py.Dataset | h5py.Group:
            if isinstance(item, dict):
                node, matlab_class = group.create_group(name), "struct"
                for key, member in item.items():
                    write(node, key, member)
            elif isinstance(item, (list, np.ndarray)) and len(item) == 0:  # the data are the lengths of the axes
                node = group.create_dataset(name, data=np.zeros(2, np.uint64))
                node.attrs["MATLAB_empty"] = np.uint8(1)
                matlab_class = "cell" if isinstance(item, list) else "double"
            elif isinstance(item, list):
                references = [[write(refs, f"r{len(refs)}", member).ref] for member in item]
                node = group.create_dataset(name, data=references, dtype=h5py.ref_dtype)
                matlab_class = "cell"
            elif isinstance(item, str):
                codes = np.array([[ord(letter)] for letter in item], np.uint16)
                node, matlab_class = group.create_dataset(name, data=codes), "char"
            else:
                array = np.atleast_2d(item)
                matlab_class = "single" if array.dtype == np.float32 else "double"
                node = group.create_dataset(name, data=array.T)
            node.attrs["MATLAB_class"] = np.bytes_(matlab_class)
            return node

        for name, item in variables.items():
            write(file, name, item)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as file:
        file.write(header)


WRITERS = [write_matlab_5, write_matlab_73]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_matconvnet_network_computes_what_matconvnet_computes(
    tmp_path: Path, write: Callable, noise_free: bool, batch_norm: bool
):
    net = matconvnet_net(noise_free, batch_norm)
    write(tmp_path / "SRMDx3", net=net)
    read = read_weights(tmp_path / "SRMDx3")
    assert read.network.config == replace(SMALL, conditions=conditions_of(noise_free))
    np.testing.assert_array_equal(read.pca, default_pca().numpy())
    lr = np.random.default_rng(1).random((9, 7, 3))
    degradation_map = kernel_codes(gaussian(2.6, 1.0, 30), net["meta"]["P"])
    if not noise_free:
        degradation_map = np.append(degradation_map, 15 / 255)
    with torch.no_grad():
        sr = read.network(
            *(torch.from_numpy(a).float() for a in (lr.transpose(2, 0, 1)[None], degradation_map[None, :, None, None]))
        )
    np.testing.assert_allclose(sr[0].permute(1, 2, 0), matconvnet_output(net, lr, degradation_map), atol=2e-4)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_network_for_grey_pictures_restores_the_green_channel(tmp_path: Path, scale: int):
    """The authors' SRMDx1_gray is such a network."""
    net = matconvnet_net(noise_free=False, batch_norm=False, scale=scale, colours=1)
    write_matlab_5(tmp_path / "net.mat", net=net)
    read = read_weights(tmp_path / "net.mat")
    assert read.network.config == replace(SMALL, scale=scale)
    rgb = np.random.default_rng(1).random((9, 7, 3))
    degradation_map = np.append(kernel_codes(gaussian(1.3), default_pca().numpy()), 0.1)
    with torch.no_grad():
        lr = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        sr = read.network(lr, torch.from_numpy(degradation_map)[None, :, None, None].float())[0]
    for colour in sr:
        np.testing.assert_allclose(colour, matconvnet_output(net, rgb[..., 1:2], degradation_map)[..., 0], atol=2e-4)


@pytest.mark.parametrize("write", WRITERS)
def test_a_matconvnet_network_with_a_loss_without_p_and_with_empty_biases_is_read(tmp_path: Path, write: Callable):
    """The authors' training code saves such files."""
    net = matconvnet_net(noise_free=False, batch_norm=False)
    net["layers"].append({"type": "loss"})
    net["layers"][1]["weights"][1] = np.zeros((0, 0))
    net.pop("meta")
    write(tmp_path / "net.mat", net=net)
    read = read_weights(tmp_path / "net.mat")
    assert read.pca is None
    assert torch.equal(read.network.convs[0].bias, torch.zeros(8))


@pytest.mark.parametrize("write", WRITERS)
def test_the_size_of_p_determines_the_configuration(tmp_path: Path, write: Callable):
    net = matconvnet_net(noise_free=False, batch_norm=False)
    net["layers"][1]["weights"][0] = np.zeros((3, 3, 13, 8), np.float32)
    net["meta"]["P"] = np.zeros((10, 21**2))
    write(tmp_path / "net.mat", net=net)
    config = read_weights(tmp_path / "net.mat").network.config
    assert config == replace(SMALL, conditions=("kernel",), pca_dim=10, kernel_size=21)


def test_p_for_kernels_of_more_than_255_pixels_is_refused(tmp_path: Path):
    net = matconvnet_net(noise_free=False, batch_norm=False)
    net["meta"]["P"] = np.zeros((15, 257**2), np.float32)
    scipy.io.savemat(tmp_path / "net.mat", {"net": net}, do_compression=True)
    with pytest.raises(InputError, match=r"expected net\.meta\.P to be 15×225, found P 15×66049"):
        read_weights(tmp_path / "net.mat")


def changed_net(change: Callable[[list[dict], dict], object]) -> dict:
    net = matconvnet_net(noise_free=False, batch_norm=True)
    change(net["layers"], net)
    return {"net": net}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"kernel": np.ones((15, 15)), "note": "mine"}, "found kernel 15×15, note"),
        ({"net": {"layers": "none"}}, "found net"),
        (changed_net(lambda layers, net: layers.pop(2)), "found concat conv conv"),
        (changed_net(lambda layers, net: layers[1].update(pad=0.0)), "padding"),
        (changed_net(lambda layers, net: layers[1].update(pad=np.array([1.0, np.nan]))), "padding"),
        (changed_net(lambda layers, net: layers[1].update(pad=[np.ones(1), np.ones((2, 3))])), "padding"),
        (changed_net(lambda layers, net: layers[1].update(pad="one")), "padding"),
        (changed_net(lambda layers, net: layers[2].update(leak=0.1)), "leaky"),
        (changed_net(lambda layers, net: layers[1]["weights"].pop()), "2 arrays"),
        (changed_net(lambda layers, net: layers[4]["weights"].__setitem__(2, np.ones((8, 3)))), "batch norm"),
        (changed_net(lambda layers, net: layers[1]["weights"].__setitem__(0, np.ones((3, 3)))), r"array of \(3, 3\)"),
        (changed_net(lambda layers, net: layers[-1].update(scale=2.0)), "shuffled by 2"),
        (changed_net(lambda layers, net: layers[-1].update(scale=np.nan)), "scale from 1 to 16"),
        (changed_net(lambda layers, net: layers[-1].update(scale=[1.0, 2.0])), "scale from 1 to 16"),
        (changed_net(lambda layers, net: layers[-1].update(scale="3")), "scale from 1 to 16"),
        (changed_net(lambda layers, net: layers.pop()), "shuffled by 1"),
        (changed_net(lambda layers, net: net["meta"].update(P=np.ones((15, 200)))), "found P 15×200"),
    ],
)
def test_a_matlab_file_without_such_a_network_is_refused(tmp_path: Path, write: Callable, variables: dict, found: str):
    write(tmp_path / "net.mat", **variables)
    with pytest.raises(InputError, match=found) as caught:
        read_weights(tmp_path / "net.mat")
    assert "\n" not in str(caught.value)


def test_a_truncated_matlab_file_is_refused(tmp_path: Path):
    for write in WRITERS:
        write(tmp_path / "net.mat", net=matconvnet_net(noise_free=False, batch_norm=False))
        (tmp_path / "net.mat").write_bytes((tmp_path / "net.mat").read_bytes()[:-2000])
        with pytest.raises(InputError, match="not a MATLAB file"):
            read_weights(tmp_path / "net.mat")
