"""The weight files of estimators."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import srmd
from srmd.base.errors import InputError
from srmd.estimator import Estimator, EstimatorConfig
from srmd.weights.estimators import EstimatorWeights, read_estimator, write_estimator
from srmd.weights.files import read_weights
from srmd.weights.shipped import estimator_file, network_files


@pytest.fixture
def written(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "estimate_x3.safetensors"
    write_estimator(path, EstimatorWeights(Estimator(EstimatorConfig(scale=3, hidden=8)), {"trainings": []}))
    return path


def rewritten(path: Path, tensors: dict | None = None, **metadata: object) -> Path:
    stored = {"kind": "estimator", "scale": 3, "hidden": 8} | metadata
    save_file(load_file(path) if tensors is None else tensors, path, {"srmd": json.dumps(stored)})
    return path


def test_what_is_written_is_read(written: Path):
    torch.manual_seed(0)
    expected = Estimator(EstimatorConfig(scale=3, hidden=8))
    read = read_estimator(written)
    assert read.network.config == expected.config
    assert read.metadata["trainings"] == []
    for name, tensor in expected.state_dict().items():
        assert torch.equal(read.network.state_dict()[name], tensor.half().float())


def test_the_network_for_jpegs_is_stored_beside_the_other_one(written: Path):
    torch.manual_seed(1)
    network, jpeg_network = (Estimator(EstimatorConfig(scale=3, hidden=8)) for _ in range(2))
    write_estimator(written, EstimatorWeights(network, {}, jpeg_network))
    read = read_estimator(written)
    for expected, found in ((network, read.network), (jpeg_network, read.jpeg_network)):
        assert torch.equal(found.window1.weight, expected.window1.weight.half().float())
    assert not torch.equal(read.network.window1.weight, read.jpeg_network.window1.weight)


def test_a_file_without_layers_for_jpeg_is_read_with_zeros(written: Path):
    tensors = {name: tensor for name, tensor in load_file(written).items() if not name.startswith("jpeg_")}
    assert len(tensors) == len(load_file(written)) - 2
    read = read_estimator(rewritten(written, tensors))
    network = read.network
    assert read.jpeg_network is None
    assert not network.jpeg_bias.weight.any()
    assert not network.jpeg_summary.weight.any()
    assert torch.equal(network.window2.weight, tensors["window2.weight"].float())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"kind": "network"}, "expected an estimator, found a .safetensors of another kind"),
        ({"scale": 9}, "found no valid scale"),
        ({"hidden": 10**9}, "found no valid hidden"),
        ({"hidden": "8"}, "found no valid hidden"),
        ({"hidden": 9}, "its tensors do not fit its configuration"),
    ],
)
def test_files_that_hold_something_else_are_refused(written: Path, metadata: dict, message: str):
    with pytest.raises(InputError, match=f"estimate_x3.safetensors: .*{message}"):
        read_estimator(rewritten(written, **metadata))


def test_a_file_with_numbers_that_are_not_finite_is_refused(written: Path):
    tensors = load_file(written)
    tensors["mean"][0] = torch.nan
    with pytest.raises(InputError, match="expected finite numbers"):
        read_estimator(rewritten(written, tensors))


def test_a_broken_file_is_refused(written: Path):
    written.write_bytes(written.read_bytes()[:1000])
    with pytest.raises(InputError, match="a broken"):
        read_estimator(written)


def test_estimators_are_not_taken_for_networks_that_restore(written: Path):
    with pytest.raises(InputError, match="expected a network that restores pictures, found an estimator"):
        read_weights(written)
    with pytest.raises(InputError, match="found an estimator"):
        srmd.load("estimate_x2")
    assert {path.stem[:4] for path in network_files()} == {"srmd"}


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_package_has_an_estimator_of_modest_size_for_each_scale(scale: int):
    weights = read_estimator(estimator_file(scale))
    assert weights.network.config.scale == scale
    for network in (weights.network, weights.jpeg_network):
        assert sum(tensor.numel() for tensor in network.parameters()) <= 300_000
    assert estimator_file(scale).stat().st_size < 1_200_000


def test_a_network_is_refused_as_estimator():
    with pytest.raises(InputError, match="expected an estimator"):
        read_estimator(network_files()[0])
