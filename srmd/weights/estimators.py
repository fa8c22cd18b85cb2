"""Reads and writes the weight files of estimators, weights/estimate_xN.safetensors."""

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.estimator import SCALES, Estimator, EstimatorConfig
from srmd.weights.files import ESTIMATOR_KIND, check_finite
from srmd.weights.safetensors_file import read_safetensors

JPEG_LAYERS = "jpeg_"  # start of their names; older files lack them, and zeros stand for them
FOR_JPEG = "for_jpeg."  # before the names of the second network's tensors
MAX_HIDDEN = 1024  # a larger number in a broken file would ask for gigabytes
MODEL_SPEC = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "srmd-estimator",
    "modelspec.implementation": "srmd",
    "modelspec.license": "MIT",
}


@dataclass(frozen=True)
class EstimatorWeights:
    """The two networks of an estimator and the metadata of its file."""

    network: Estimator  # for pictures that were never compressed
    metadata: dict = field(default_factory=dict)
    jpeg_network: Estimator | None = None  # for JPEGs; None: the other one, as in older files


def write_estimator(path: Path, weights: EstimatorWeights, dtype: torch.dtype = torch.float16) -> None:
    """Writes a .safetensors file atomically: tensors in `dtype`; configuration and metadata as JSON under `srmd`."""
    from safetensors.torch import save

    config = weights.network.config
    tensors = dict(weights.network.state_dict())
    if weights.jpeg_network:
        tensors |= {FOR_JPEG + key: tensor for key, tensor in weights.jpeg_network.state_dict().items()}
    tensors = {key: tensor.to(dtype).contiguous() for key, tensor in tensors.items()}
    metadata = weights.metadata | {"kind": ESTIMATOR_KIND} | asdict(config)
    title = f"Estimator of blur and noise for SRMD x{config.scale}"
    model_spec = MODEL_SPEC | {"modelspec.title": title, "modelspec.date": date.today().isoformat()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, {"srmd": json.dumps(metadata, sort_keys=True)} | model_spec))


def read_estimator(path: Path) -> EstimatorWeights:
    """The estimator in a file, in float32; raises InputError for any other file."""
    metadata, tensors = read_safetensors(path)
    if not isinstance(metadata, dict) or metadata.get("kind") != ESTIMATOR_KIND:
        raise InputError(f"{path}: expected an estimator, found a .safetensors of another kind")
    for name, tensor in tensors.items():
        check_finite(name, tensor, path)
    config = _config(metadata, path)
    names = [name for name in tensors if name.startswith(FOR_JPEG)]
    for_jpeg = {name.removeprefix(FOR_JPEG): tensors.pop(name) for name in names}
    jpeg_network = _network(config, for_jpeg, path) if for_jpeg else None
    return EstimatorWeights(_network(config, tensors, path), metadata, jpeg_network)


def _network(config: EstimatorConfig, tensors: dict[str, Tensor], path: Path) -> Estimator:
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, but not from the program's random numbers
        network = Estimator(config)
    untrained = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(JPEG_LAYERS)}
    try:
        network.load_state_dict(untrained | tensors)
    except RuntimeError as error:
        found = " ".join(str(error).split())[:200]  # PyTorch's message has a line for each tensor
        raise InputError(f"{path}: its tensors do not fit its configuration: {found}") from error
    return network.eval()


def _config(metadata: dict, path: Path) -> EstimatorConfig:
    values = {each.name: metadata.get(each.name) for each in fields(EstimatorConfig)}
    limits = {"scale": SCALES, "hidden": MAX_HIDDEN}
    invalid = [
        name for name, value in values.items() if type(value) is not int or not 1 <= value <= limits.get(name, value)
    ]
    if invalid:
        raise InputError(f"{path}: expected an estimator's configuration, found no valid {', '.join(invalid)}")
    return EstimatorConfig(**values)
