"""Checkpoints: what a training run needs to go on. No code of the file is run."""

import io
import pickle
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import atomic_write

ALWAYS = ("version", "step", "network_config", "network", "ema", "optimizer", "pca")  # in checkpoints of any version


@dataclass(frozen=True)
class Checkpoint:
    """The schema of checkpoint-STEP.pt, which holds these as a dictionary; `Solver` fills and reads it."""

    version: str  # of the program
    step: int
    precision: str
    downsampler: str
    winograd: bool  # whether the inner layers are computed by Winograd's algorithm: it rounds in another way
    network_config: dict
    network: dict
    ema: dict
    optimizer: dict
    pca: Tensor
    own_kernels: Tensor | None  # (n, k, k), what was read from the file or folder of kernels


def save_checkpoint(path: Path, state: dict) -> None:
    """Writes the dictionary of a `Checkpoint`, whole or not at all."""
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """What `save_checkpoint` was given, on the CPU; InputError where the file is anything else."""
    state = load_pytorch_file(path)
    if not is_checkpoint(state):
        raise InputError(f"{path}: expected a checkpoint of a training run, found another PyTorch file")
    return checkpoint_from_dict(state)


def is_checkpoint(state: Any) -> bool:
    """Whether what a PyTorch file holds is a checkpoint, of this version or of one before it, which held less."""
    kinds = {field.name: field.type for field in fields(Checkpoint) if field.name in ALWAYS}
    return isinstance(state, dict) and all(isinstance(state.get(name), kind) for name, kind in kinds.items())


def checkpoint_from_dict(state: dict) -> Checkpoint:
    """The dictionary of a checkpoint; what one of an older version didn't hold is None."""
    return Checkpoint(**{field.name: state.get(field.name) for field in fields(Checkpoint)})


def load_pytorch_file(path: Path) -> Any:
    """What a PyTorch file holds, on the CPU; InputError where it is broken, or would have to run code."""
    data = io.BytesIO(path.read_bytes())  # a failing disk says nothing of the file
    try:
        if zipfile.is_zipfile(data) and (damaged := zipfile.ZipFile(data).testzip()):  # PyTorch doesn't look
            raise ValueError(f"its part {damaged} is damaged, or has no checksum")
        data.seek(0)
        return torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign or cut file breaks the unpickler in many ways
        if isinstance(error, pickle.UnpicklingError) and "Weights only" in str(error):
            found = "expected tensors in dictionaries, found Python objects, which are not loaded: they may run code"
            raise InputError(f"{path}: {found}; save the network's state_dict() instead") from error
        raise InputError(f"{path}: not a checkpoint ({' '.join(str(error).split())[:100]})") from error
