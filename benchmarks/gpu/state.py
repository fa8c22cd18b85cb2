"""The files NAME.safetensors of a run: a network's EMA for use, and what its training continues from.

A file of a network with 1.5 million parameters takes 11 MB, and the files of six networks 65 MB (62 MiB), because all
tensors but P have 16 bits: float16 for network, EMA and eigenbases, and bfloat16, which has the range of float32, for
the optimizer's squares and covariances. The optimizer's mean of gradients is left out: it is a mean over ten steps.
Each file is written atomically and can be read alone, so that a process may be killed at any time.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.group import TrainingGroup
from srmd import __version__
from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.model import NetworkConfig
from srmd.solver import Solver
from srmd.weights.files import Weights
from srmd.weights.safetensors_file import read_safetensors
from srmd.weights.surgery import empty_network

METADATA_KEY = "srmd_training"
OPTIMIZER_DTYPES = {"basis": torch.float16, "covariance": torch.bfloat16, "square": torch.bfloat16}


@dataclass(frozen=True)
class Progress:
    """How far a run was when a file was written; stored in its metadata."""

    elapsed: float  # seconds over all jobs
    begin: float  # seconds, at the run's first training step


def state_path(folder: Path, name: str) -> Path:
    """Return the path of a network's file."""
    return folder / f"{name}.safetensors"


def save_states(folder: Path, group: TrainingGroup, names: list[str], progress: Progress) -> None:
    """Write the files of the networks `names`."""
    states = iter(group.optimizer.state_by_parameter())
    for name, solver in group.solvers.items():
        of_parameters = {key: next(states) for key, _ in solver.network.named_parameters()}
        if name in names:
            _save(state_path(folder, name), solver, of_parameters, progress)


def _save(path: Path, solver: Solver, optimizer: dict[str, dict], progress: Progress) -> None:
    from safetensors.torch import save

    tensors = {"pca": solver.pca}
    for part, network in (("network", solver.network), ("ema", solver.weights().network)):
        tensors |= {f"{part}.{key}": tensor.half() for key, tensor in network.state_dict().items()}
    for key, state in optimizer.items():
        for name, dtype in _stored_names(state).items():
            tensors[f"optimizer.{key}.{name}"] = state[name].to(dtype)
    metadata = asdict(progress) | {
        "version": __version__,
        "network_config": asdict(solver.network.config),
        "config": asdict(replace(solver.config, steps=solver.step)),
        "optimizer_step": max(state["step"] for state in optimizer.values()),
    }
    content = save({key: tensor.cpu().contiguous() for key, tensor in tensors.items()}, _as_metadata(metadata))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _stored_names(state: dict) -> dict[str, torch.dtype]:
    """Return the tensors of a parameter's optimizer state that are stored, with their types in the file."""
    return {name: dtype for name in state for end, dtype in OPTIMIZER_DTYPES.items() if name.endswith(end)}


def _as_metadata(values: dict) -> dict[str, str]:
    return {METADATA_KEY: json.dumps(values, sort_keys=True, default=str)}


def load_states(folder: Path, group: TrainingGroup) -> Progress | None:
    """Continue all networks from their files; return None if not each of them has a file.

    After a kill while files were written, some are of an earlier time: the time of the run is then that of the newest.
    Raises InputError for a file that is damaged or was written by another version.
    """
    if not all(state_path(folder, name).exists() for name in group.solvers):
        return None
    states, all_progress = [], []
    for name, solver in group.solvers.items():
        tensors, metadata = read_state(state_path(folder, name))
        solver.step = metadata["config"]["steps"]
        solver.network.load_state_dict(_part(tensors, "network"))
        solver.ema.load_state_dict(_part(tensors, "ema"))
        for key, _ in solver.network.named_parameters():
            state = {name: _to_float32(name, each) for name, each in _part(tensors, f"optimizer.{key}").items()}
            states.append(state | {"mean": torch.zeros_like(state["square"]), "step": metadata["optimizer_step"]})
        all_progress.append(Progress(*(metadata[name] for name in ("elapsed", "begin"))))
    group.optimizer.load_state_by_parameter(states)
    return max(all_progress, key=lambda progress: progress.elapsed)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): each for key, each in tensors.items() if key.startswith(f"{prefix}.")}


def _to_float32(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor of the optimizer in float32; the columns of an eigenbasis are made orthonormal again."""
    exact = tensor.float()
    return torch.linalg.qr(exact).Q if name.endswith("basis") else exact


def read_state(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Return tensors and metadata of a file. Raises InputError if it is damaged, or of another kind or version."""
    metadata, tensors = read_safetensors(path, METADATA_KEY)
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: expected the state of a training, found a .safetensors file of another kind")
    if metadata["version"] != __version__:
        raise InputError(f"{path}: expected a file of version {__version__}, found {metadata['version']}")
    return tensors, metadata


def read_ema(path: Path) -> tuple[Weights, dict]:
    """Return the EMA network of a file as weights for use, and the fields of the `TrainConfig` of its training."""
    tensors, metadata = read_state(path)
    sizes = metadata["network_config"]
    network = empty_network(NetworkConfig(**sizes | {"conditions": tuple(sizes["conditions"])}))
    network.load_state_dict({key: each.float() for key, each in _part(tensors, "ema").items()}, assign=True)
    config = metadata["config"]
    about = {"version": metadata["version"], "command": config["command"], "steps": config["steps"]}
    return Weights(network, tensors["pca"], about | {"downsampler": config["downsampler"]}), config
