"""Weights in and out, and checkpoints.

In: our own .safetensors and checkpoints, and ncnn's .param with .bin, recognised by content. Out: .safetensors with the
configuration in the metadata and P beside the tensors, for P belongs to the network. No reader runs code from a file.
"""

import io
import json
import struct
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from errors import InputError
from files import whole_file
from model import SRMD, NetworkConfig, merge_batch_norm, round_as_autocast

KNOWN = "our .safetensors or checkpoint, or ncnn's .param and .bin"
NCNN_FLOAT16 = 0x01306B47  # the tag in front of weights stored as float16
NCNN_FLOAT32 = 0
HEADS = ("subpixel", "upsample")
LEAST = {"scale": 1, "features": 3, "layers": 2, "kernel_size": 1, "pca_dim": 1}  # of what a file may say


@dataclass(frozen=True)
class Weights:
    """A network with the P that its kernel codes are made with, and what its file says of it."""

    network: SRMD
    pca: Tensor | None  # (15, 225); None where the format carries none
    metadata: dict = field(default_factory=dict)


def read_weights(path: Path) -> Weights:
    """The network in a file of any known format; InputError says what was found instead."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}")
    with path.open("rb") as file:
        start = file.read(16)
    if path.suffix == ".bin" or start[:7] == b"7767517":  # a .bin alone has no mark
        return _read_ncnn(path.with_suffix(".param"), path.with_suffix(".bin"))
    if start[8:9] == b"{":
        return _read_safetensors(path)
    if start[:2] == b"PK":
        return _read_checkpoint_weights(path)
    raise InputError(f"{path}: expected {KNOWN}, found a file that starts with {start[:8]!r}")


def write_weights(path: Path, weights: Weights, dtype: torch.dtype = torch.float32) -> None:
    """A .safetensors file: the network's tensors in `dtype`, P in float32, configuration and metadata under `srmd`."""
    from safetensors.torch import save

    state = weights.network.state_dict()
    tensors = {key: (t.to(dtype) if t.is_floating_point() else t).contiguous() for key, t in state.items()}
    tensors["pca"] = weights.pca.float().contiguous()
    metadata = weights.metadata | asdict(weights.network.config)
    with whole_file(path) as temporary:
        temporary.write_bytes(save(tensors, {"srmd": json.dumps(metadata, sort_keys=True)}))


def start_from(network: SRMD, source: SRMD) -> None:
    """Copies what fits into a fresh network: the layers whose shapes agree, and of the first layer what both are told.

    A network that is told a noise level thus starts as the noise-free one that it comes from, and the other way round.
    The other layers, such as another scale's head, keep their identity initialisation.
    """
    if source.config.batch_norm and not network.config.batch_norm:
        source = merge_batch_norm(source)
    fresh, given = network.state_dict(), source.state_dict()
    fitting = {key: t for key, t in given.items() if key in fresh and t.shape == fresh[key].shape}
    first = "convs.0.weight"
    shared = min(fresh[first].shape[1], given[first].shape[1])
    if fresh[first].shape[0] == given[first].shape[0]:
        fitting[first] = torch.zeros_like(fresh[first])
        fitting[first][:, :shared] = given[first][:, :shared]
    network.load_state_dict(fresh | fitting)


def _network(config: NetworkConfig, state: dict[str, Tensor], path: Path) -> SRMD:
    with torch.device("meta"):  # no time is spent on weights that are replaced
        network = SRMD(config)
    state = {key: t.float() if t.is_floating_point() else t for key, t in state.items()}
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise InputError(f"{path}: its tensors do not fit its configuration: {' '.join(str(error).split())}") from error
    return network


def _config(values: dict, path: Path) -> NetworkConfig:
    """The configuration among a file's metadata; InputError where a value is missing or of another type."""
    known = {f.name: f.type for f in fields(NetworkConfig)}
    wrong = [name for name, kind in known.items() if type(values.get(name)) is not kind]
    wrong += [name for name, least in LEAST.items() if name not in wrong and values[name] < least]
    wrong += ["head"] * (values.get("head") not in HEADS)
    if wrong:
        raise InputError(f"{path}: expected a network's configuration, found no valid {', '.join(wrong)}")
    return NetworkConfig(**{name: values[name] for name in known})


def _checked_pca(pca: Tensor, config: NetworkConfig, path: Path) -> Tensor:
    expected = (config.pca_dim, config.kernel_size**2)
    if pca.shape != expected:
        raise InputError(f"{path}: expected its P to be {expected}, found {tuple(pca.shape)}")
    return pca.float()


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("srmd", "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: a broken .safetensors file ({error})") from error
    if not isinstance(metadata, dict) or "pca" not in tensors:
        raise InputError(f"{path}: expected metadata under srmd and a tensor pca, found a .safetensors of another kind")
    config = _config(metadata, path)
    pca = _checked_pca(tensors.pop("pca"), config, path)
    return Weights(_network(config, tensors, path), pca, metadata)


def save_checkpoint(path: Path, state: dict) -> None:
    """What a run needs to go on: tensors, numbers and text in dictionaries."""
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict:
    """The dictionary that `save_checkpoint` was given, on the CPU."""
    data = io.BytesIO(path.read_bytes())  # a failing disk says nothing of the file
    try:
        state = torch.load(data, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a foreign or cut file breaks the unpickler in many ways
        raise InputError(f"{path}: not a checkpoint ({' '.join(str(error).split())[:100]})") from error
    kinds = {"network_config": dict, "network": dict, "ema": dict, "optimizer": dict, "pca": Tensor, "step": int}
    if not isinstance(state, dict) or not all(isinstance(state.get(key), kind) for key, kind in kinds.items()):
        raise InputError(f"{path}: expected a checkpoint of a training run, found another PyTorch file")
    return state


def _read_checkpoint_weights(path: Path) -> Weights:
    """The EMA network of a checkpoint."""
    state = load_checkpoint(path)
    config = _config(state["network_config"], path)
    pca = _checked_pca(state["pca"], config, path)
    network = _network(config, state["ema"], path)
    if state.get("precision") == "bf16":
        round_as_autocast(network)
    return Weights(network, pca, {"step": state["step"]})


def _read_ncnn(param: Path, binary: Path) -> Weights:
    """A plain chain of 3×3 convolutions and a pixel shuffle, batch norm merged; such files carry no P."""
    for path in (param, binary):
        if not path.is_file():
            raise InputError(f"{path}: no such file; ncnn's .param and .bin belong together")
    layers = [line.split() for line in param.read_text(errors="replace").splitlines()[2:] if line.strip()]
    kinds = [layer[0] for layer in layers]
    convolutions = [
        dict(p.split("=", 1) for p in layer[4:] if "=" in p) for layer in layers if layer[0] == "Convolution"
    ]
    if kinds != ["Input", *["Convolution"] * len(convolutions), "PixelShuffle"]:
        raise InputError(f"{param}: expected Input, Convolution ×12, PixelShuffle, found {', '.join(kinds)}")
    data, offset = binary.read_bytes(), 0
    tensors = []
    for layer in convolutions:
        if not {"0", "6"} <= layer.keys() or not int(layer["6"]) % (9 * int(layer["0"])) == 0:
            raise InputError(f"{param}: expected 3×3 convolutions with their sizes, found {layer}")
        outputs = int(layer["0"])
        weight, bias, offset = _ncnn_convolution(data, offset, outputs, int(layer["6"]), binary)
        tensors.append((weight.reshape(outputs, -1, 3, 3), bias))
    if offset != len(data):
        raise InputError(f"{binary}: expected {offset} bytes from {param.name}, found {len(data)}")
    return Weights(_plain_chain(tensors, param), None)


def _ncnn_convolution(data: bytes, offset: int, outputs: int, count: int, path: Path) -> tuple[Tensor, Tensor, int]:
    """Weights and biases at `offset`, and the offset behind them; blobs are padded to 4 bytes."""
    try:
        (tag,) = struct.unpack_from("<I", data, offset)
        if tag not in (NCNN_FLOAT16, NCNN_FLOAT32):
            raise InputError(f"{path}: expected weights in float32 or float16, found the tag {tag:#010x}")
        kind = np.dtype("<f2" if tag == NCNN_FLOAT16 else "<f4")
        weight = np.frombuffer(data, kind, count, offset + 4)
        offset += 4 + (weight.nbytes + 3) // 4 * 4
        bias = np.frombuffer(data, "<f4", outputs, offset)
    except (ValueError, struct.error) as error:
        raise InputError(f"{path}: cut short after {len(data)} bytes") from error
    return torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias.copy()), offset + bias.nbytes


def _plain_chain(tensors: list[tuple[Tensor, Tensor]], path: Path) -> SRMD:
    """A network whose configuration is read off the shapes of its weights and biases."""
    inputs, outputs, features = tensors[0][0].shape[1], len(tensors[-1][1]), len(tensors[0][1])
    scale = round((outputs / 3) ** 0.5)
    if inputs not in (18, 19) or outputs != 3 * scale**2:
        raise InputError(f"{path}: expected 18 or 19 channels in and 3·s² out, found {inputs} and {outputs}")
    config = NetworkConfig(scale, noise_free=inputs == 18, features=features, layers=len(tensors))
    names = [f"convs.{i}" for i in range(len(tensors) - 1)] + ["head"]
    state = {
        f"{name}.{part}": t
        for name, pair in zip(names, tensors, strict=True)
        for part, t in zip(("weight", "bias"), pair, strict=True)
    }
    return _network(config, state, path)
