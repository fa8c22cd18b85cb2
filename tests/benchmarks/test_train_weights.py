"""The command of `make weights`: on a machine with several GPUs, torchrun starts a process for each of them."""

import signal
import subprocess
import sys
from contextlib import nullcontext
from typing import ClassVar, Self

import pytest

from benchmarks import train_weights
from benchmarks.plans import PLANS, ROOT
from srmd.base.errors import Stopped
from srmd.cli.requests import parse


class Launched:
    """Stands in for a process that is started: it ends by itself, or when it gets a signal."""

    commands: ClassVar[list[list[str]]] = []
    returncode: int | None = 3

    def __init__(self, command: list[str], start_new_session: bool):
        assert start_new_session  # no signal of the terminal reaches it
        self.commands.append(command)
        self.signals: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def wait(self) -> None:
        assert self.signals == [signal.SIGTERM]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> type[Launched]:
    """A machine with three GPUs, on which nothing is started."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr(Launched, "commands", [])
    monkeypatch.setattr(subprocess, "Popen", Launched)
    return Launched


def test_several_gpus_are_used_by_torchrun(launched: type[Launched]):
    assert train_weights.run_main(["--mode=train", "--resume"]) == 3  # its exit code
    (command,) = launched.commands
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert {"--standalone", "--nproc_per_node=3"} <= set(command)
    assert command[-3:] == [str(ROOT / "main.py"), "--mode=train", "--resume"]


def test_a_signal_is_given_to_torchrun_once(launched: type[Launched], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Launched, "returncode", None)
    monkeypatch.setattr(train_weights, "stop_requests", lambda: nullcontext([signal.SIGTERM]))
    with pytest.raises(Stopped):
        train_weights.run_main(["--mode=train"])


@pytest.mark.parametrize(("gpus", "processes"), [(0, 1), (1, 1), (8, 8)])
def test_each_gpu_gets_the_batch_of_one(gpus: int, processes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert train_weights.processes() == processes
    config = parse(train_weights.flags(PLANS[0], 7, None))
    assert config.batch_size == processes * train_weights.recipe().batch_size


def test_one_gpu_needs_no_torchrun(launched: type[Launched], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(train_weights.main, "main", lambda arguments: len(arguments))
    assert train_weights.run_main(["--mode=train", "--resume"]) == 2
    assert not launched.commands
