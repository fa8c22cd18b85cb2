"""Reads and writes weight files.

It reads this project's .safetensors files and checkpoints, and the formats of `foreign.py`. A format is recognised by
the content of the file, not by its name. It writes .safetensors files, with the configuration in the metadata, and with
P as one of the tensors, because P belongs to the network. No reader runs code from a file.
"""

import itertools
import json
import struct
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import atomic_write, check_is_file
from srmd.base.kinds import describe_content
from srmd.base.ncnn_format import NCNN_FLOAT16, NCNN_FLOAT32, NCNN_PARAM
from srmd.base.paths import shipped_folder
from srmd.config import are_conditions
from srmd.kernel.files import MAX_SIDE
from srmd.kernel.pca import read_pca
from srmd.model import MAX_SCALE, SRMD, NetworkConfig
from srmd.weights.checkpoint import checkpoint_from_dict, is_checkpoint, load_pytorch_file
from srmd.weights.foreign import ForeignNetwork, is_kair, read_kair, read_matconvnet, read_ncnn
from srmd.weights.safetensors_file import read_safetensors
from srmd.weights.surgery import empty_network, round_to_bfloat16

READABLE_FORMATS = "this package's .safetensors or checkpoint, ncnn's .param and .bin, KAIR's .pth or MatConvNet's .mat"
# The first bytes of files in each format.
NCNN_STARTS = (NCNN_PARAM, struct.pack("<I", NCNN_FLOAT16), struct.pack("<I", NCNN_FLOAT32))  # .param, .bin, .bin
MATLAB_START = b"MATLAB"
PYTORCH_STARTS = (b"PK", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")  # a ZIP; before PyTorch 1.6 a pickled integer
HEADS = ("subpixel", "upsample")
# Minimum and maximum values of a network's configuration.
LIMITS = {
    "scale": (1, MAX_SCALE),
    "features": (3, 2**16),
    "layers": (2, 2**12),
    "kernel_size": (1, MAX_SIDE),
    "pca_dim": (1, 2**16),
}
NETWORK_OF_RUN = "last.safetensors"  # in the folder of a training run
ESTIMATOR_KIND = "estimator"  # in the metadata; the files of networks that restore have no such entry
PCA, CONFIG, DEGRADATION_MAP = "pca", "network_config", "degradation_map"  # tensors that are not the network's


@dataclass(frozen=True)
class Weights:
    """A network, the P of its kernel codes, and the metadata of its file."""

    network: SRMD
    pca: Tensor | None  # (pca_dim, kernel_size²); None if the file format does not store P
    metadata: dict = field(default_factory=dict)

    @property
    def downsampler(self) -> str:
        """The downsampler that the network was trained for; bicubic if the metadata do not name one."""
        return "direct" if self.metadata.get("downsampler") == "direct" else "bicubic"


def read_weights(path: Path) -> Weights:
    """The weights in a file of any readable format; raises InputError for any other file."""
    if (path / NETWORK_OF_RUN).is_file():
        raise InputError(f"{path}: expected a file, found the folder of a run, whose network is {NETWORK_OF_RUN}")
    check_is_file(path)
    with path.open("rb") as file:
        start = file.read(16)
    try:
        return _read(path, start)
    except (InputError, OSError):
        raise
    except Exception as error:  # a damaged file can raise any exception
        problem = "there is not enough memory for it" if isinstance(error, MemoryError) else f"damaged ({error!r:.200})"
        raise InputError(f"{path}: {problem}") from error


def _read(path: Path, start: bytes) -> Weights:
    """The weights in a file that starts with these 16 bytes."""
    if start.startswith(MATLAB_START):
        return _foreign_weights(read_matconvnet(path), path)
    if start.startswith(PYTORCH_STARTS):
        return _read_pytorch(path)
    if start.startswith(NCNN_STARTS):  # before .safetensors: byte 8 of a .bin is part of a weight and may be "{"
        return _foreign_weights(read_ncnn(path), path)
    if start[8:9] == b"{":
        return _read_safetensors(path)
    found = describe_content(path) or f"a file that starts with {start[:8]!r}"
    raise InputError(f"{path}: expected {READABLE_FORMATS}, found {found}")


def read_weights_with_pca(path: Path, pca: Path | None = None) -> Weights:
    """The weights in a file with their P, which is read from the file `pca` if the format does not store it.

    Raises InputError if P is missing, or if `pca` is passed although the weights contain P.
    """
    with prefix_errors("weights"):
        weights = read_weights(path)
    if (weights.pca is None) != (pca is not None):
        problem = "needed: the weights contain no P" if pca is None else "not needed: the weights contain their own P"
        raise InputError(f"{problem} ({path})", "pca")
    if pca is None:
        return weights
    with prefix_errors("pca"):
        return replace(weights, pca=_foreign_pca(pca, path))


def _foreign_pca(path: Path, weights: Path) -> Tensor:
    """P for a network of another project.

    This project's P is refused: the network was trained with other kernel codes, and the wrong ones cost 3 to 6 dB.
    """
    pca = read_pca(path)
    if np.allclose(pca, read_pca(shipped_folder("kernels") / "pca.mat"), atol=1e-5):
        raise InputError(f"{path}: expected the P that {weights} was trained with, found this project's own")
    return torch.from_numpy(pca)


def write_weights(path: Path, weights: Weights, dtype: torch.dtype = torch.float32) -> None:
    """Writes a .safetensors file atomically; see `weights_bytes`."""
    content = weights_bytes(weights, dtype)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def weights_bytes(weights: Weights, dtype: torch.dtype = torch.float32, degradation_map: Tensor | None = None) -> bytes:
    """The content of a .safetensors file.

    It holds the network's tensors in `dtype`, P in float32, and the configuration and metadata as JSON under `srmd`,
    beside ModelSpec's keys. The configuration is also among the tensors, and so is `degradation_map` (1, C, 1, 1) if
    one is to be built in, because programs with spandrel see nothing but tensors.
    """
    from safetensors.torch import save

    config = weights.network.config
    state = weights.network.state_dict()
    tensors = {key: _to_float_type(tensor, dtype).contiguous() for key, tensor in state.items()}
    tensors |= {PCA: weights.pca.float().contiguous(), CONFIG: _config_tensor(config)}
    if degradation_map is not None:
        tensors[DEGRADATION_MAP] = degradation_map.float().contiguous()
    metadata = {"date": date.today().isoformat()} | weights.metadata | asdict(config)
    metadata.pop("noise_free", None)  # from a file of version 0.4.0 or older; `conditions` replaces it
    header = {"srmd": json.dumps(metadata, sort_keys=True)} | _model_spec(config, metadata)
    return save(tensors, header)


def _config_tensor(config: NetworkConfig) -> Tensor:
    """The configuration as JSON in a tensor of bytes."""
    return torch.tensor(list(json.dumps(asdict(config)).encode()), dtype=torch.uint8)


def read_config_tensor(tensor: Tensor, path: Path) -> NetworkConfig:
    """The configuration in a tensor of bytes; raises InputError, which names `path`, if it is invalid."""
    try:
        values = json.loads(bytes(tensor.tolist()))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON in the tensor {CONFIG}, found {error}") from error
    return read_config(values if isinstance(values, dict) else {}, path)


def _model_spec(config: NetworkConfig, metadata: dict) -> dict[str, str]:
    """The keys of ModelSpec (github.com/Stability-AI/ModelSpec), which model managers show.

    The licence is that in the metadata: a network that a user trains has none until the user states one.
    """
    told = ", ".join(config.conditions)
    spec = {
        "sai_model_spec": "1.0.0",
        "architecture": "srmd",
        "implementation": "srmd",
        "title": f"{config.kind} x{config.scale}",
        "description": f"Super-resolution by {config.scale} of pictures with a known degradation. It is told: {told}.",
        "date": str(metadata["date"]),
    }
    if "license" in metadata:
        spec["license"] = str(metadata["license"])
    return {f"modelspec.{key}": value for key, value in spec.items()}


def _network(config: NetworkConfig, state: dict[str, Tensor], path: Path) -> SRMD:
    """A network with the tensors of `state` in float32.

    Raises InputError if they do not fit the configuration, or if a value is NaN or infinite.
    """
    last = f"convs.{config.layers - 2}.weight"
    if last not in state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError(f"{path}: its tensors do not fit its configuration: expected a tensor {last}, found none")
    for key, tensor in state.items():
        check_finite(key, tensor, path)
    state = {key: _to_float_type(tensor, torch.float32) for key, tensor in state.items()}
    try:
        network = empty_network(config)
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        found = " ".join(str(error).split())[:200]  # PyTorch's message has a line for each tensor
        raise InputError(f"{path}: its tensors do not fit its configuration: {found}") from error
    return network


def check_finite(name: str, tensor: Tensor, path: Path) -> None:
    """Raises InputError unless a tensor holds finite real numbers, and counters and variances no negative ones."""
    is_counter = name.endswith("num_batches_tracked")
    if tensor.is_floating_point() == is_counter or tensor.is_complex():
        raise InputError(f"{path}: expected real numbers in {name}, found {tensor.dtype}")
    if not torch.isfinite(tensor.float()).all():
        raise InputError(f"{path}: expected finite numbers in {name}, found NaN or infinity")
    if name.endswith("running_var") and tensor.numel() and tensor.min() < 0:
        raise InputError(f"{path}: expected variances in {name}, found negative numbers")


def _to_float_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in `dtype`; a tensor of integers, such as the counter of batch norm, is returned unchanged."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _foreign_weights(foreign: ForeignNetwork, path: Path) -> Weights:
    if foreign.pca is not None:
        check_finite("P", foreign.pca, path)
    return Weights(_network(foreign.config, foreign.state, path), foreign.pca)


def read_config(values: dict, path: Path) -> NetworkConfig:
    """The network configuration in a file's metadata; raises InputError if a value is missing or invalid."""
    values = values | {"conditions": _conditions(values)}
    types = {each.name: each.type for each in fields(NetworkConfig)} | {"conditions": tuple}
    invalid = [name for name, kind in types.items() if type(values.get(name)) is not kind]
    for name, (minimum, maximum) in LIMITS.items():
        if name not in invalid and not minimum <= values[name] <= maximum:
            invalid.append(name)
    if values.get("head") not in HEADS:
        invalid.append("head")
    if "kernel_size" not in invalid and values["kernel_size"] % 2 == 0:
        invalid.append("kernel_size")
    if invalid:
        raise InputError(f"{path}: expected a network's configuration, found no valid {', '.join(invalid)}")
    return NetworkConfig(**{name: values[name] for name in types})


def _conditions(values: dict) -> tuple[str, ...] | None:
    """The conditions in a file's metadata, None if they are invalid; files up to version 0.4.0 have `noise_free`."""
    conditions = values.get("conditions")
    if conditions is None and isinstance(values.get("noise_free"), bool):
        return ("kernel",) if values["noise_free"] else ("kernel", "noise")
    return tuple(conditions) if are_conditions(conditions) else None


def _checked_pca(pca: Tensor, config: NetworkConfig, path: Path) -> Tensor:
    """P in float32; raises InputError if its shape does not fit the configuration."""
    expected = (config.pca_dim, config.kernel_size**2)
    if pca.shape != expected:
        raise InputError(f"{path}: expected its P to be {expected}, found {tuple(pca.shape)}")
    check_finite("pca", pca, path)
    return pca.float()


def _read_safetensors(path: Path) -> Weights:
    metadata, tensors = read_safetensors(path)
    if isinstance(metadata, dict) and metadata.get("kind") == ESTIMATOR_KIND:
        raise InputError(f"{path}: expected a network that restores pictures, found an estimator of blur and noise")
    if not isinstance(metadata, dict) or PCA not in tensors:
        raise InputError(f"{path}: expected metadata under srmd and a tensor pca, found a .safetensors of another kind")
    config = read_config(metadata, path)
    pca = _checked_pca(tensors.pop(PCA), config, path)
    for name in (CONFIG, DEGRADATION_MAP):  # for other programs
        tensors.pop(name, None)
    return Weights(_network(config, tensors, path), pca, metadata)


def _read_pytorch(path: Path) -> Weights:
    """The EMA network of a checkpoint, or the network of a state dict of KAIR."""
    state = load_pytorch_file(path)
    if is_kair(state):
        return _foreign_weights(read_kair(state, path), path)
    if not is_checkpoint(state):
        found = (
            ", ".join(f"{key!s:.50}" for key in itertools.islice(state, 4))
            if isinstance(state, dict)
            else type(state).__name__
        )
        raise InputError(f"{path}: expected a training checkpoint or KAIR's model.N.weight, found {found or 'nothing'}")
    checkpoint = checkpoint_from_dict(state)
    config = read_config(checkpoint.network_config, path)
    pca = _checked_pca(checkpoint.pca, config, path)
    network = _network(config, checkpoint.ema, path)
    if checkpoint.precision == "bf16":
        round_to_bfloat16(network)
    return Weights(network, pca, {"steps": checkpoint.step, "downsampler": checkpoint.downsampler})
