"""Helpers of tests: training runs on small pictures in the test's process, and what they log and save."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from default_pca import default_pca
from srmd.cli import main
from srmd.kernel.motion import motion_kernels
from srmd.model import SRMD, NetworkConfig
from srmd.solver import Solver
from srmd.weights.checkpoint import Checkpoint, load_checkpoint
from srmd.weights.files import Weights, read_weights, write_weights

QUICK_FLAGS = [
    "--batch_size=2",
    "--patch_size=8",
    "--precision=fp32",
    "--device=cpu",
    "--visdom=off",
    "--train_data=pictures",
]


def train(output: str, *flags: str) -> int:
    """Train in the folder `output`, or resume its run; return the exit code."""
    resuming = any(flag.startswith("--resume") for flag in flags)
    run_flags = ["--visdom=off"] if resuming else QUICK_FLAGS
    return main.main(["--mode=train", f"--output={output}", *run_flags, *flags])


def read_rows(output: str) -> list[dict]:
    """Return the rows of metrics.jsonl."""
    return [json.loads(line) for line in Path(output, "metrics.jsonl").read_text().splitlines()]


def logged_losses(output: str) -> list[tuple[int, float]]:
    """Return step and loss of each row of metrics.jsonl."""
    return [(row["step"], row["loss"]) for row in read_rows(output)]


def have_same_weights(first_output: str, second_output: str) -> bool:
    """Return whether the weights in last.safetensors of two runs are exactly equal."""
    states = [
        read_weights(Path(output, "last.safetensors")).network.state_dict() for output in (first_output, second_output)
    ]
    return all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


def load_only_checkpoint(output: str) -> Checkpoint:
    """Return the checkpoint of a run that has one."""
    (path,) = Path(output).glob("checkpoint-*")
    return load_checkpoint(path)


def signal_at_step(monkeypatch: pytest.MonkeyPatch, step: int, number: int) -> None:
    """Call the handler of signal `number` at the beginning of a step. test_journey sends real signals to processes."""
    training_step = Solver.training_step

    def step_and_signal(solver: Solver) -> torch.Tensor:
        if solver.step == step - 1:
            signal.getsignal(number)(number, None)
        return training_step(solver)

    monkeypatch.setattr(Solver, "training_step", step_and_signal)


def write_own_kernels(count: int = 40, size: int = 15) -> str:
    """Write a file of motion kernels; return the flag to train on them."""
    np.save("motion.npy", motion_kernels(np.random.default_rng(0), count, size))
    return "--train_kernels=motion.npy"


def write_x3_weights(path: str) -> Weights:
    """Write the weights of a network for scale 3 with a P that is not the project's."""
    torch.manual_seed(5)
    weights = Weights(SRMD(NetworkConfig(3, features=16)), -default_pca())
    write_weights(Path(path), weights)
    return weights
