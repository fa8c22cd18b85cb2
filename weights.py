"""Weights in and out, and checkpoints.

In: our own .safetensors and checkpoints, and the files that `foreign_weights.py` knows, recognised by content. Out:
.safetensors with the configuration in the metadata and P beside the tensors, for P belongs to the network. No reader
runs code from a file.
"""

import io
import itertools
import json
import pickle
import struct
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from errors import InputError
from files import whole_file
from foreign_weights import (
    NCNN_FLOAT16,
    NCNN_FLOAT32,
    NCNN_PARAM,
    ForeignNetwork,
    is_kair,
    read_kair,
    read_matconvnet,
    read_ncnn,
)
from model import SRMD, NetworkConfig, merge_batch_norm, round_as_autocast

KNOWN = "our .safetensors or checkpoint, ncnn's .param and .bin, KAIR's .pth or MatConvNet's .mat"
NCNN_STARTS = (NCNN_PARAM, struct.pack("<I", NCNN_FLOAT16), struct.pack("<I", NCNN_FLOAT32))  # .param, .bin, .bin
MATLAB_STARTS = (b"MATLAB", b"\x89HDF\r\n\x1a\n")
PYTORCH_STARTS = (b"PK", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")  # .zip, and before PyTorch 1.6 a pickled number
HEADS = ("subpixel", "upsample")
LEAST = {"scale": 1, "features": 3, "layers": 2, "kernel_size": 1, "pca_dim": 1}  # of what a file may say


@dataclass(frozen=True)
class Weights:
    """A network with the P that its kernel codes are made with, and what its file says of it."""

    network: SRMD
    pca: Tensor | None  # (pca_dim, kernel_size²); None where the format carries none
    metadata: dict = field(default_factory=dict)

    @property
    def downsampler(self) -> str:
        """What the network was trained for; bicubic where its file doesn't say, as all that are published."""
        return "direct" if self.metadata.get("downsampler") == "direct" else "bicubic"


def read_weights(path: Path) -> Weights:
    """The network in a file of any known format; InputError says what was found instead."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'no such file'}")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(MATLAB_STARTS):
        return _foreign(read_matconvnet(path), path)
    if start.startswith(PYTORCH_STARTS):
        return _read_pytorch(path)
    if start.startswith(NCNN_STARTS):  # before .safetensors, for any byte may stand at 8 in a .bin
        return _foreign(read_ncnn(path), path)
    if start[8:9] == b"{":
        return _read_safetensors(path)
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
    if source.config.head != network.config.head:  # which can agree in shape, and mean something else
        fitting = {key: t for key, t in fitting.items() if not key.startswith("head.")}
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
        found = " ".join(str(error).split())[:200]  # it lists every tensor
        raise InputError(f"{path}: its tensors do not fit its configuration: {found}") from error
    return network


def _foreign(found: ForeignNetwork, path: Path) -> Weights:
    return Weights(_network(found.config, found.state, path), found.pca)


def _config(values: dict, path: Path) -> NetworkConfig:
    """The configuration among a file's metadata; InputError where a value is missing or of another type."""
    known = {f.name: f.type for f in fields(NetworkConfig)}
    wrong = [name for name, kind in known.items() if type(values.get(name)) is not kind]
    wrong += [name for name, least in LEAST.items() if name not in wrong and values[name] < least]
    wrong += ["head"] * (values.get("head") not in HEADS)
    wrong += ["kernel_size"] * ("kernel_size" not in wrong and values["kernel_size"] % 2 == 0)
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
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
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
    state = _load_pytorch(path)
    if not _is_checkpoint(state):
        raise InputError(f"{path}: expected a checkpoint of a training run, found another PyTorch file")
    return state


def _load_pytorch(path: Path) -> Any:
    data = io.BytesIO(path.read_bytes())  # a failing disk says nothing of the file
    try:
        if zipfile.is_zipfile(data) and (damaged := zipfile.ZipFile(data).testzip()):  # PyTorch doesn't look
            raise ValueError(f"its part {damaged} is damaged, or has no checksum")
        data.seek(0)
        return torch.load(data, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a foreign or cut file breaks the unpickler in many ways
        if isinstance(error, pickle.UnpicklingError) and "Weights only" in str(error):
            found = "expected tensors in dictionaries, found Python objects, which are not loaded: they may run code"
            raise InputError(f"{path}: {found}; save the network's state_dict() instead") from error
        raise InputError(f"{path}: not a checkpoint ({' '.join(str(error).split())[:100]})") from error


def _is_checkpoint(state: Any) -> bool:
    kinds = {"version": str, "step": int, "network_config": dict, "network": dict, "ema": dict, "optimizer": dict}
    kinds |= {"pca": Tensor}
    return isinstance(state, dict) and all(isinstance(state.get(key), kind) for key, kind in kinds.items())


def _read_pytorch(path: Path) -> Weights:
    """The EMA network of a checkpoint, or KAIR's."""
    state = _load_pytorch(path)
    if is_kair(state):
        return _foreign(read_kair(state, path), path)
    if not _is_checkpoint(state):
        found = ", ".join(map(str, itertools.islice(state, 4))) if isinstance(state, dict) else type(state).__name__
        raise InputError(f"{path}: expected a training checkpoint or KAIR's model.N.weight, found {found or 'nothing'}")
    config = _config(state["network_config"], path)
    pca = _checked_pca(state["pca"], config, path)
    network = _network(config, state["ema"], path)
    if state.get("precision") == "bf16":
        round_as_autocast(network)
    return Weights(network, pca, {"step": state["step"], "downsampler": state.get("downsampler")})
