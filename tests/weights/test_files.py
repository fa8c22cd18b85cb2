"""Weight files and checkpoints are written, read and refused; networks start from the weights of others."""

import json
import struct
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from default_pca import default_pca
from srmd import __version__
from srmd.base.errors import InputError
from srmd.config import CONDITIONS
from srmd.model import SRMD, NetworkConfig
from srmd.weights.checkpoint import load_checkpoint, save_checkpoint
from srmd.weights.files import (
    CONFIG,
    DEGRADATION_MAP,
    Weights,
    read_config_tensor,
    read_weights,
    weights_bytes,
    write_weights,
)
from srmd.weights.shipped import estimator_file, network_files
from srmd.weights.surgery import initialise_from

SMALL = NetworkConfig(scale=3, features=8, layers=4)


def weights(config: NetworkConfig = SMALL, **metadata: object) -> Weights:
    torch.manual_seed(0)
    return Weights(SRMD(config).eval(), default_pca(), metadata)


def output(network: SRMD) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    degradation_map = torch.rand(1, network.config.map_channels, 1, 1, generator=rng)
    return network.eval()(torch.rand(1, 3, 9, 7, generator=rng), degradation_map).detach()


@pytest.mark.parametrize("head", ["subpixel", "upsample"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_network_is_read_as_it_was_written(tmp_path: Path, head: str, batch_norm: bool):
    written = weights(replace(SMALL, head=head, batch_norm=batch_norm), note="trained on leaves")
    write_weights(tmp_path / "a.safetensors", written)
    read = read_weights(tmp_path / "a.safetensors")
    assert read.network.config == written.network.config
    assert torch.equal(output(read.network), output(written.network))
    assert torch.equal(read.pca, written.pca)
    assert read.metadata["note"] == "trained on leaves"


def header(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_files_carry_the_keys_of_modelspec(tmp_path: Path):
    config = replace(SMALL, conditions=("kernel",))
    write_weights(tmp_path / "a.safetensors", weights(config, license="CC0-1.0", date="2020-02-29"))
    keys = {key.removeprefix("modelspec."): value for key, value in header(tmp_path / "a.safetensors").items()}
    keys.pop("srmd")
    assert keys.pop("description").endswith("It is told: kernel.")
    assert keys == {
        "sai_model_spec": "1.0.0",
        "architecture": "srmd",
        "implementation": "srmd",
        "title": "SRMDNF x3",
        "license": "CC0-1.0",
        "date": "2020-02-29",
    }


def test_a_network_of_a_user_has_the_date_of_today_and_no_licence(tmp_path: Path):
    before = date.today().isoformat()
    write_weights(tmp_path / "a.safetensors", weights())
    keys = header(tmp_path / "a.safetensors")
    assert before <= keys["modelspec.date"] == json.loads(keys["srmd"])["date"] <= date.today().isoformat()
    assert "modelspec.license" not in keys


def test_the_shipped_networks_and_estimators_carry_the_keys_of_modelspec():
    required = {"sai_model_spec", "architecture", "implementation", "title", "license", "date"}
    paths = [*network_files(), *map(estimator_file, (1, 2, 3, 4))]
    assert len(paths) > 10
    for path in paths:
        assert {f"modelspec.{key}" for key in required} <= header(path).keys(), path.name
        assert header(path)["modelspec.license"] == "MIT"


def test_the_configuration_is_also_a_tensor():
    config = replace(SMALL, head="upsample", conditions=("kernel",))
    tensors = load(weights_bytes(weights(config), torch.float16, torch.ones(1, config.map_channels, 1, 1)))
    assert read_config_tensor(tensors[CONFIG], Path("a")) == config
    assert tensors[DEGRADATION_MAP].dtype == torch.float32
    for text in (b"{", b"[]", b"\xff", b"{}"):
        with pytest.raises(InputError, match="a: expected "):
            read_config_tensor(torch.tensor(list(text), dtype=torch.uint8), Path("a"))


def test_weights_in_float16_have_half_the_size_and_nearly_the_same_output(tmp_path: Path):
    written = weights(NetworkConfig(features=32))
    write_weights(tmp_path / "full.safetensors", written)
    write_weights(tmp_path / "half.safetensors", written, torch.float16)
    half = read_weights(tmp_path / "half.safetensors")
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size
    assert (output(half.network) - output(written.network)).abs().max() < 5e-3
    assert torch.equal(half.pca, written.pca)


def test_the_format_is_recognised_by_content_not_by_name(tmp_path: Path):
    write_weights(tmp_path / "network.bin.bak", weights())
    assert read_weights(tmp_path / "network.bin.bak").network.config == SMALL


def test_a_weights_file_is_readable_by_all_users(tmp_path: Path):
    write_weights(tmp_path / "a.safetensors", weights())
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o044


def checkpoint(path: Path) -> dict:
    source = weights()
    state = {"step": 5, "network_config": vars(SMALL), "ema": source.network.state_dict(), "pca": source.pca}
    state |= {"version": __version__, "network": state["ema"], "optimizer": {}}
    save_checkpoint(path, state)
    return state


def test_the_metadata_of_a_checkpoint_have_its_steps(tmp_path: Path):
    checkpoint(tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").metadata["steps"] == 5


def test_a_truncated_checkpoint_is_refused(tmp_path: Path):
    checkpoint(tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.pt: not a checkpoint \(it is a ZIP that is cut short\)"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_checkpoint_with_a_changed_byte_is_refused(tmp_path: Path):
    checkpoint(tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    weight = weights().network.convs[1].weight.detach().numpy().tobytes()
    data[data.index(weight) + len(weight) // 2] ^= 1
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.pt: not a checkpoint.*damaged"):
        load_checkpoint(tmp_path / "a.pt")


def test_no_code_in_a_checkpoint_runs(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"step": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"dictionaries, found __builtin__\.getattr; Python objects are not loaded"):
        read_weights(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def broken_files(folder: Path) -> dict[str, str]:
    """Writes files that hold no weights; the expected error message of each by name."""
    write_weights(folder / "good.safetensors", weights())
    good = (folder / "good.safetensors").read_bytes()
    (folder / "empty").write_bytes(b"")
    (folder / "text").write_text("plain text")
    (folder / "cut").write_bytes(good[:-100])
    header = b'{"__metadata__":{}}'
    (folder / "foreign").write_bytes(struct.pack("<Q", len(header)) + header)
    torch.save(torch.zeros(3), folder / "tensor.pt")
    return {
        "missing": "expected a file, found no such file",
        "empty": "expected this package's .safetensors",
        "text": "found a file that starts with",
        "cut": "broken .safetensors",
        "foreign": "of another kind",
        "tensor.pt": "expected a training checkpoint or KAIR's model.N.weight, found Tensor",
    }


def test_a_file_without_weights_is_refused_in_one_line(tmp_path: Path):
    for name, message in broken_files(tmp_path).items():
        with pytest.raises(InputError, match=message) as caught:
            read_weights(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("scale", 2), ("features", "8"), ("layers", None)])
def test_a_configuration_that_does_not_fit_the_tensors_is_refused(tmp_path: Path, key: str, value: object):
    from safetensors.torch import save_file

    source = weights()
    tensors = source.network.state_dict() | {"pca": source.pca}
    save_file(tensors, tmp_path / "a", {"srmd": json.dumps(vars(SMALL) | {key: value})})
    with pytest.raises(InputError, match="configuration") as caught:
        read_weights(tmp_path / "a")
    assert len(str(caught.value)) < 400


def test_initialising_from_another_scale_copies_the_body_and_keeps_the_new_head():
    source, target = weights().network, SRMD(replace(SMALL, scale=2))
    head = target.head.weight.clone()
    initialise_from(target, source)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(source.convs, target.convs, strict=True))
    assert torch.equal(target.head.weight, head)


@pytest.mark.parametrize(("head", "other"), [("subpixel", "upsample"), ("upsample", "subpixel")])
def test_a_head_of_the_other_kind_is_not_copied_even_where_its_shape_agrees(head: str, other: str):
    source, target = SRMD(replace(SMALL, scale=1, head=head)), SRMD(replace(SMALL, scale=1, head=other))
    head_before = target.head.weight.clone()
    initialise_from(target, source)
    assert torch.equal(target.head.weight, head_before)
    assert torch.equal(target.convs[2].weight, source.convs[2].weight)


def test_initialising_from_a_network_with_batch_norm_merges_it():
    source = SRMD(replace(SMALL, batch_norm=True))
    source.norms[0].running_var.fill_(3.0)
    target = SRMD(SMALL)
    initialise_from(target, source)
    torch.testing.assert_close(output(target), output(source))


@pytest.mark.parametrize("conditions", [("kernel", "noise"), ("kernel",)])
def test_srmd_and_srmdnf_networks_initialised_from_each_other_have_equal_outputs_without_noise(
    conditions: tuple[str, ...],
):
    other = ("kernel",) if "noise" in conditions else ("kernel", "noise")
    source, target = SRMD(replace(SMALL, conditions=conditions)), SRMD(replace(SMALL, conditions=other))
    initialise_from(target, source)
    lr, degradation_map = torch.rand(1, 3, 9, 7), torch.rand(1, 16, 1, 1)
    degradation_map[:, 15] = 0
    outputs = [each(lr, degradation_map[:, : each.config.map_channels]) for each in (target, source)]
    torch.testing.assert_close(*outputs)


def test_a_network_that_is_told_of_jpeg_starts_with_three_channels_of_zeros(tmp_path: Path):
    source, target = SRMD(SMALL), SRMD(replace(SMALL, conditions=CONDITIONS))
    initialise_from(target, source)
    first, source_first = target.convs[0].weight, source.convs[0].weight
    assert torch.equal(first[:, :-3], source_first)
    assert not first[:, -3:].any()
    lr, degradation_map = torch.rand(1, 3, 9, 7), torch.rand(1, 19, 1, 1)
    torch.testing.assert_close(target(lr, degradation_map), source(lr, degradation_map[:, :16]))
    write_weights(tmp_path / "srmdj_x3.safetensors", Weights(target, default_pca()))
    read = read_weights(tmp_path / "srmdj_x3.safetensors").network
    assert (read.config.conditions, read.config.kind) == (CONDITIONS, "SRMDJ")
    assert torch.equal(read.convs[0].weight, first)


@pytest.mark.parametrize(("noise_free", "conditions"), [(True, ("kernel",)), (False, ("kernel", "noise"))])
def test_files_with_noise_free_in_place_of_conditions_are_read(
    tmp_path: Path, noise_free: bool, conditions: tuple[str, ...]
):
    from safetensors.torch import save_file

    source = weights(replace(SMALL, conditions=conditions))
    metadata = {name: value for name, value in vars(source.network.config).items() if name != "conditions"}
    tensors = source.network.state_dict() | {"pca": source.pca}
    save_file(tensors, tmp_path / "a", {"srmd": json.dumps(metadata | {"noise_free": noise_free})})
    assert read_weights(tmp_path / "a").network.config == source.network.config


@pytest.mark.parametrize("conditions", ["kernel", [], ["noise"], ["kernel", "kernel"], ["kernel", "haze"], None, 3])
def test_invalid_conditions_are_refused(tmp_path: Path, conditions: object):
    from safetensors.torch import save_file

    source = weights()
    tensors = source.network.state_dict() | {"pca": source.pca}
    save_file(tensors, tmp_path / "a", {"srmd": json.dumps(vars(SMALL) | {"conditions": conditions})})
    with pytest.raises(InputError, match="found no valid conditions"):
        read_weights(tmp_path / "a")


def test_a_p_that_does_not_fit_the_configuration_is_refused(tmp_path: Path):
    write_weights(tmp_path / "a", Weights(weights().network, torch.zeros(15, 224)))
    with pytest.raises(InputError, match=r"expected its P to be \(15, 225\), found \(15, 224\)"):
        read_weights(tmp_path / "a")


def test_the_inner_layers_of_a_checkpoint_trained_in_bfloat16_are_rounded(tmp_path: Path):
    save_checkpoint(tmp_path / "a.pt", checkpoint(tmp_path / "b.pt") | {"precision": "bf16"})
    network, trained = read_weights(tmp_path / "a.pt").network, weights().network
    assert torch.equal(network.convs[1].weight, trained.convs[1].weight.bfloat16().float())
    assert torch.equal(network.head.weight, trained.head.weight)


def test_a_pytorch_file_without_a_checkpoint_is_refused(tmp_path: Path):
    torch.save({"step": 5}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="expected a checkpoint of a training run, found another PyTorch file"):
        load_checkpoint(tmp_path / "a.pt")


def test_initialising_from_a_network_with_other_features_copies_nothing():
    target = SRMD(SMALL)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    initialise_from(target, SRMD(replace(SMALL, features=6)))
    assert all(torch.equal(tensor, before[key]) for key, tensor in target.state_dict().items())
