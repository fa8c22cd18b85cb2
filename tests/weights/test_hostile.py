"""Weights files that state more than they hold, or hold NaN or infinity, are refused."""

import io
import json
import pickle
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from foreign_networks import SMALL, ncnn_files, small_network
from published import SHARED
from srmd.base.errors import InputError
from srmd.kernel.pca import read_pca
from srmd.weights.checkpoint import load_pytorch_file
from srmd.weights.estimators import read_estimator
from srmd.weights.files import Weights, read_weights, write_weights
from srmd.weights.pytorch_check import MAX_BUILDS, MAX_PARTS

HOSTILE = SHARED / "cases" / "hostile"
STATE = {"model.0.weight": torch.ones(3), "model.0.bias": torch.zeros(2)}


def saved(state: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def rewritten(content: bytes, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A PyTorch file whose parts are changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return buffer.getvalue()


def with_larger_storage() -> bytes:
    """A file whose pickle states a million elements of a storage with three."""
    three, million = b"K\x03", b"J" + (10**6).to_bytes(4, "little")
    return rewritten(saved(STATE), lambda name, data: data.replace(three, million) if name.endswith(".pkl") else data)


def with_nested_tuples() -> bytes:
    key = ()
    for _ in range(40):
        key = (key, key)
    return pickle_archive(b"\x80\x02}" + pickle.dumps(key, 2)[2:-1] + b"K\x01s.")


def pickle_archive(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", "3\n")
    return buffer.getvalue()


def overlapping() -> bytes:
    """A file in which two parts share their bytes."""
    content = bytearray(saved(STATE))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        offset = next(entry.header_offset for entry in archive.infolist() if entry.filename.endswith("data/0"))
    second = content.rindex(b"data/1")  # in the list of parts, behind its record of 46 bytes with the archive's name
    start = content.rindex(b"PK\1\2", 0, second)
    content[start + 42 : start + 46] = offset.to_bytes(4, "little")
    return bytes(content)


HOSTILE_FILES = {
    "larger storage": with_larger_storage,
    "nested tuples as a key": with_nested_tuples,
    "overlapping parts": overlapping,
    "compressed": lambda: rewritten(saved(STATE), lambda _, data: data, zipfile.ZIP_DEFLATED),
    "stride 0": lambda: saved({"model.0.weight": torch.ones(1).expand(10**6)}),
    "sparse": lambda: saved({"model.0.weight": torch.eye(3).to_sparse()}),
    "parameter without values": lambda: saved({"a": torch.nn.Parameter(torch.ones(3, device="meta"))}),
    "quantised": lambda: saved({"model.0.weight": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}),
    "meta": lambda: saved({"model.0.weight": torch.ones(3, device="meta")}),
    "bytes behind it": lambda: saved(STATE) + b"more",
    "legacy with a larger storage": lambda: saved(STATE, _use_new_zipfile_serialization=False).replace(
        b"K\x03N", b"J\x00\x00\x00\x7fN"
    ),
    "no pickle": lambda: pickle_archive(b"\x80\x02s."),
    "unbalanced pickle": lambda: pickle_archive(b"\x80\x02t."),
}


@pytest.mark.parametrize("make", HOSTILE_FILES.values(), ids=HOSTILE_FILES)
@pytest.mark.filterwarnings("ignore")  # PyTorch's of quantised and legacy tensors, while the file is made
def test_a_hostile_pytorch_file_is_refused(make: Callable[[], bytes], tmp_path: Path):
    path = tmp_path / "a.pt"
    path.write_bytes(make())
    with pytest.raises(InputError, match=r"a\.pt: not a checkpoint"):
        load_pytorch_file(path)


def calling(module: str, name: str, arguments: bytes) -> bytes:
    return pickle_archive(f"\x80\x02c{module}\n{name}\n".encode("latin-1") + arguments + b"R.")


def in_protocol_4(module: str, name: str) -> bytes:
    words = b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
    return pickle_archive(b"\x80\x04" + words + b"\x93.")


BILLION = b"\x8a\x04" + (10**9).to_bytes(4, "little") + b"\x85"  # a tuple with one number
OBJECTS = {
    "bytes of any number": (lambda: calling("builtins", "bytearray", BILLION), "builtins.bytearray"),
    "of Python 2": (lambda: calling("__builtin__", "bytearray", BILLION), "__builtin__.bytearray"),
    "of protocol 4": (lambda: in_protocol_4("builtins", "bytearray"), "builtins.bytearray"),
    "a storage without a type": (lambda: calling("torch.storage", "UntypedStorage", BILLION), "torch.storage."),
    "a shape": (lambda: saved({"shape": torch.Size([1])}), "torch.Size"),
    "complex numbers": (lambda: saved({"a": torch.ones(1, dtype=torch.complex64)}), "torch.ComplexFloatStorage"),
    "a set": (lambda: saved({"a": {1}}), "__builtin__.set"),
    "a long name": (lambda: calling("a" * 200, "b", b")"), "a" * 100 + ";"),
}


@pytest.mark.parametrize(("make", "name"), OBJECTS.values(), ids=OBJECTS)
def test_a_pytorch_file_with_other_objects_is_refused_with_their_name(make: Callable, name: str, tmp_path: Path):
    (tmp_path / "a.pt").write_bytes(make())
    with pytest.raises(InputError, match=rf"a\.pt: expected tensors in dictionaries, found {re.escape(name)}"):
        load_pytorch_file(tmp_path / "a.pt")


def shared_under_many_keys() -> dict[str, torch.Tensor]:
    return dict.fromkeys((f"model.{number}.weight" for number in range(1000)), torch.ones(1000))


def many_parts() -> bytes:
    buffer = io.BytesIO(pickle_archive(b"\x80\x02}."))
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(MAX_PARTS):
            archive.writestr(f"a/data/{number}", b"")
    return buffer.getvalue()


def copied_attributes() -> bytes:
    """Dictionaries that all have the same attributes, of which each holds a copy."""
    one = b"ccollections\nOrderedDict\n)Rh\x00b"
    return pickle_archive(b"\x80\x02}q\x00" + one * (MAX_BUILDS + 1) + b".")


REFUSED = {
    "a storage": (lambda: calling("torch", "FloatStorage", BILLION), "its pickle calls torch FloatStorage"),
    "a dictionary of a list": (lambda: calling("collections", "OrderedDict", b"]\x85"), "its pickle calls collections"),
    "a class": (lambda: pickle_archive(b"\x80\x02ccollections\nOrderedDict\n)\x81."), "its pickle calls collections"),
    "copied attributes": (copied_attributes, "its pickle has more than 16 objects with attributes"),
    "a tensor under many keys": (lambda: saved(shared_under_many_keys()), "its tensors have 4000000 bytes, its"),
    "many parts": (many_parts, f"it has {MAX_PARTS + 2} parts, more than {MAX_PARTS}"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_pytorch_file_that_would_take_much_is_refused_at_once(make: Callable, message: str, tmp_path: Path):
    (tmp_path / "a.pt").write_bytes(make())
    start = time.process_time()
    with pytest.raises(InputError, match=rf"a\.pt: not a checkpoint \({message}"):
        load_pytorch_file(tmp_path / "a.pt")
    assert time.process_time() - start < 20  # a fifth of a second on an idle machine, without measuring coverage


@pytest.mark.parametrize("entry", ["ema", "network"])
def test_a_checkpoint_whose_network_has_one_tensor_under_many_keys_is_refused(entry: str, tmp_path: Path):
    state = {"network": {}, "ema": {}, "optimizer": {}, "pca": torch.ones(1, 1), "version": "1", "step": 1}
    state |= {"network_config": {}}
    state[entry] = shared_under_many_keys()
    (tmp_path / "a.pt").write_bytes(saved(state))
    with pytest.raises(InputError, match="several share their values"):
        read_weights(tmp_path / "a.pt")


def test_parameters_and_the_metadata_of_a_state_dict_are_read(tmp_path: Path):
    network = small_network()
    state = {"network": network.state_dict(), "parameters": dict(small_network().named_parameters())}
    (tmp_path / "a.pt").write_bytes(saved(state | {"random": torch.get_rng_state()}))
    found = load_pytorch_file(tmp_path / "a.pt")
    assert found["network"]._metadata == state["network"]._metadata
    assert torch.equal(found["parameters"]["head.bias"], state["parameters"]["head.bias"])


def test_a_pytorch_file_above_the_limit_is_not_read(tmp_path: Path):
    with (tmp_path / "a.pt").open("wb") as file:
        file.truncate(3 * 2**30)  # without taking room on the disk
    with pytest.raises(InputError, match=r"a\.pt: expected at most 2147 MB, found 3221 MB"):
        load_pytorch_file(tmp_path / "a.pt")


@pytest.mark.parametrize("new", [True, False])
def test_plain_state_dicts_are_read(new: bool, tmp_path: Path):
    state = {
        "a": torch.arange(6).view(2, 3),
        "b": [torch.ones(2, dtype=torch.bfloat16), (1, "text", None)],
        "c": {0: 1.5},
    }
    (tmp_path / "a.pt").write_bytes(saved(state, _use_new_zipfile_serialization=new))
    found = load_pytorch_file(tmp_path / "a.pt")
    assert torch.equal(found["a"], state["a"])
    assert torch.equal(found["b"][0], state["b"][0])
    assert found["c"] == {0: 1.5}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["head.weight", "P"])
def test_weights_that_are_not_finite_are_refused(value: float, where: str, tmp_path: Path):
    network, pca = small_network(), torch.from_numpy(read_pca(Path("kernels/pca.mat")))
    with torch.no_grad():
        (pca if where == "P" else network.head.weight)[0, 5] = value
    write_weights(tmp_path / "a.safetensors", Weights(network, pca))
    with pytest.raises(InputError, match=r"finite numbers in (head\.weight|pca), found NaN or infinity"):
        read_weights(tmp_path / "a.safetensors")


def test_a_header_of_more_layers_than_tensors_is_refused_at_once(tmp_path: Path):
    values = {"scale": 2, "head": "subpixel", "noise_free": False, "batch_norm": False, "features": 3, "layers": 4000}
    metadata = {"srmd": json.dumps(values | {"kernel_size": 1, "pca_dim": 1})}
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": metadata, "pca": tensor}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match=r"expected a tensor convs\.3998\.weight, found none"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("read", [read_weights, read_estimator])
@pytest.mark.parametrize(
    "header", ["[" * 100_000, '{"__metadata__": {"srmd": "' + "[" * 100_000 + '"}}', "{" + "9" * 9000]
)
def test_deep_json_and_long_numbers_in_a_header_are_refused(read: Callable, header: str, tmp_path: Path):
    content = header.replace("[", "{", 1) if header.startswith("[") else header
    (tmp_path / "a.safetensors").write_bytes(len(content).to_bytes(8, "little") + content.encode())
    with pytest.raises(InputError, match=r"a\.safetensors: "):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("read", [read_weights, read_estimator])
def test_a_header_of_more_than_a_megabyte_is_refused(read: Callable, tmp_path: Path):
    header = b'{"__metadata__": {"srmd": "null"}' + b" " * 2**20 + b"}"
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match=f"expected a header of up to {2**20} bytes, found {len(header)}"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("value", ["9" * 5000, "-1", "4294967296"])
def test_large_numbers_in_an_ncnn_file_are_refused(value: str, tmp_path: Path):
    param = ncnn_files(tmp_path, small_network())
    param.write_text(param.read_text().replace(f"0={SMALL.features} ", f"0={value} ", 1))
    with pytest.raises(InputError, match=r"net\.param"):
        read_weights(param)


@pytest.mark.parametrize("ema", [{"head.weight": 1}, {1: torch.ones(3)}, {}, {"convs.0.weight": torch.ones(3).long()}])
def test_a_checkpoint_with_other_things_than_tensors_is_refused(ema: dict, tmp_path: Path):
    config = {"scale": 2, "head": "subpixel", "conditions": ("kernel",), "batch_norm": False, "features": 3}
    config |= {"layers": 2, "kernel_size": 1, "pca_dim": 1}
    state = {"version": "1", "step": 1, "network_config": config, "network": {}, "ema": ema, "optimizer": {}}
    (tmp_path / "a.pt").write_bytes(saved(state | {"pca": torch.ones(1, 1)}))
    with pytest.raises(InputError, match=r"a\.pt: "):
        read_weights(tmp_path / "a.pt")


def test_a_network_and_an_estimator_are_not_taken_for_each_other():
    with pytest.raises(InputError, match="expected a network that restores pictures, found an estimator"):
        read_weights(Path("weights/estimate_x2.safetensors"))
    with pytest.raises(InputError, match=r"expected an estimator, found a \.safetensors of another kind"):
        read_estimator(Path("weights/srmd_x2.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "expected metadata under srmd and a tensor pca"),
        ({"conditions": ["kernel", "noise"]}, "tensors do not fit"),
        ({"conditions": ["jpeg"]}, "no valid conditions"),
        ({"conditions": ["kernel", "noise", "jpeg", "jpeg"]}, "no valid conditions"),
        ({"pca_dim": 9}, r"expected its P to be \(9, 225\)"),
    ],
)
def test_a_network_that_is_told_of_jpeg_without_p_or_with_other_conditions(change: dict, message: str, tmp_path: Path):
    content = Path("weights/srmdj_x2.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    values = json.loads(header["__metadata__"]["srmd"])
    header["__metadata__"]["srmd"] = json.dumps(values | change)
    if not change:
        header["p"] = header.pop("pca")
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + content[end:])
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.skipif(not HOSTILE.is_dir(), reason=f"needs the files in {HOSTILE}")
@pytest.mark.parametrize(
    "name",
    [
        "hashbomb.pt",
        "stride0.pt",
        "nan.safetensors",
        "digits.param",
        "digits.bin",
        "layers1e5.safetensors",
        "data-tag.mat",
    ],
)
def test_hostile_weights_are_refused(name: str):
    with pytest.raises(InputError):
        read_weights(HOSTILE / name)
