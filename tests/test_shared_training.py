"""Training runs of several processes, which take turns in the test's process; test_distributed starts real ones."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from srmd import training_run
from srmd.base.distributed import Processes
from srmd.base.errors import InputError
from srmd.cli.requests import parse
from srmd.config import TrainConfig
from srmd.show.dashboard import Dashboard, open_dashboard
from srmd.train.run_folder import RunFolder
from srmd.training_run import train

CONFIG = TrainConfig(
    output=Path("run"), train_data=Path("pictures"), steps=2, batch_size=2, patch_size=8, device="cpu", precision="fp32"
)


@dataclass
class InTurn(Processes):
    """Stands in for processes that run one after another: `told` holds what the first one has told the others."""

    told: list[bytes] = field(default_factory=list)

    @contextmanager
    def joined(self) -> Iterator[None]:
        yield

    @contextmanager
    def common_errors(self) -> Iterator[None]:
        yield

    def from_first(self, value: object) -> object:
        if self.is_first:
            self.told.append(pickle.dumps(value))
            return value
        return pickle.loads(self.told.pop(0))

    def gather(self, value: object) -> list:
        return [value] * self.count

    def any(self, condition: bool) -> bool:
        return condition

    def sum_weighted(self, tensors: list[torch.Tensor], weight: float) -> None:
        pass


def content(folder: str) -> dict[str, tuple[bytes, int]]:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.usefixtures("folder_with_pictures", "short_runs")
def test_the_first_process_alone_locks_and_writes_the_run_and_has_the_dashboard(monkeypatch: pytest.MonkeyPatch):
    dashboards, locks, told = [], [], []
    locked = RunFolder.locked

    def off(visdom: str, *arguments: object, **options: object) -> Dashboard:
        dashboards.append(visdom)
        return open_dashboard("off", *arguments, **options)

    monkeypatch.setattr(training_run, "open_dashboard", off)
    monkeypatch.setattr(RunFolder, "locked", lambda folder: locks.append(folder.path) or locked(folder))
    train(CONFIG, processes=InTurn(0, 2, told=told))
    written = content("run")
    assert Path("run/last.safetensors").exists()
    train(CONFIG, processes=InTurn(1, 2, told=told))
    assert not told
    assert content("run") == written
    assert dashboards == ["auto", "off"]
    assert locks == [Path("run")]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--batch_norm", "batch_norm: expected a network without it, found 2 processes"),
        ("--batch_size=1", "batch_size: expected at least 2, one patch for each process, found 1"),
    ],
)
def test_what_several_processes_cannot_train_is_refused(flags: str, expected: str):
    with pytest.raises(InputError) as error:
        parse(["--mode=train", flags], Processes(0, 2))
    assert str(error.value) == expected


@pytest.mark.parametrize("flags", ["", "--output=run", "--resume"])
def test_a_command_that_torchrun_may_restart_must_go_on_with_its_own_run(flags: str):
    with pytest.raises(InputError, match="resume: expected --output=FOLDER --resume, with which a restart by torchrun"):
        parse(["--mode=train", *flags.split()], Processes(0, 2, may_restart=True))
    assert parse(["--mode=train", "--output=run", "--resume"], Processes(0, 2, may_restart=True)).output == Path("run")


@pytest.mark.parametrize("mode", ["prepare", "export", "panel"])
def test_modes_that_share_nothing_are_refused(mode: str):
    with pytest.raises(InputError, match=f"mode: expected train or test for 2 processes, found {mode}"):
        parse([f"--mode={mode}"], Processes(0, 2))
