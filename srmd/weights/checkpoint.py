"""Reads and writes checkpoints, from which training runs are resumed. Reading runs no code from the file."""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, check_is_file, check_size
from srmd.weights.pytorch_check import ForeignObjectError, check_before_loading, check_tensors

MAX_BYTES = 2**31  # of a file; it is read whole. This project's largest checkpoint has 30 MB
# Entries of checkpoints of every version of this project.
REQUIRED_FIELDS = ("version", "step", "network_config", "network", "ema", "optimizer", "pca")


@dataclass(frozen=True)
class Checkpoint:
    """The entries of the dictionary in checkpoint-STEP.pt, which `Solver` writes and reads."""

    version: str  # of this package
    step: int  # number of training steps done
    precision: str  # fp32, bf16 or fp16
    downsampler: str  # bicubic or direct
    winograd: bool  # whether the convolutions use Winograd's algorithm; its rounding errors differ from PyTorch's
    network_config: dict
    network: dict  # state dict
    ema: dict  # state dict of the exponential moving average of the weights
    optimizer: dict  # state dict
    pca: Tensor  # P, (pca_dim, kernel_size²)
    pictures: str | None  # identity of the training pictures' pack; None in checkpoints of older versions
    own_kernels: Tensor | None  # (n, k, k), the user's training kernels; None: Gaussians only
    processes: int | None = None  # that shared the batches; None, in checkpoints of older versions: one


def save_checkpoint(path: Path, state: dict) -> None:
    """Writes a dictionary with the entries of `Checkpoint` atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)  # in memory, because PyTorch's error does not say that the disk is full
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file, its tensors on the CPU; raises InputError for any other file."""
    state = load_pytorch_file(path)
    if not is_checkpoint(state):
        raise InputError(f"{path}: expected a checkpoint of a training run, found another PyTorch file")
    return checkpoint_from_dict(state)


def is_checkpoint(state: Any) -> bool:
    """Whether the content of a PyTorch file is a checkpoint of this or an older version of this project."""
    types = {field.name: field.type for field in fields(Checkpoint) if field.name in REQUIRED_FIELDS}
    return isinstance(state, dict) and all(isinstance(state.get(name), kind) for name, kind in types.items())


def checkpoint_from_dict(state: dict) -> Checkpoint:
    """A `Checkpoint` from its dictionary; entries that an older version did not store are None."""
    return Checkpoint(**{field.name: state.get(field.name) for field in fields(Checkpoint)})


def load_pytorch_file(path: Path) -> Any:
    """The content of a PyTorch file, its tensors on the CPU.

    Raises InputError if the file is damaged or could run code, and OSError if it cannot be read from disk.
    """
    check_is_file(path, "a checkpoint")
    check_size(path, MAX_BYTES)
    content = path.read_bytes()  # outside of `try`: an error of the disk is not an error in the file
    try:
        check_before_loading(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        check_tensors(state, len(content))
        return state
    except ForeignObjectError as error:
        problem = f"expected tensors in dictionaries, found {error}; Python objects are not loaded: they may run code"
        raise InputError(f"{path}: {problem}; save the network's state_dict() instead") from error
    except Exception as error:  # a damaged file can raise any exception in the unpickler
        raise InputError(f"{path}: not a checkpoint ({' '.join(str(error).split())[:100]})") from error
