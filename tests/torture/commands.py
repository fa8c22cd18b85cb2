"""Commands in processes of their own, and what all parts check of the folders that they leave."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from small_runs import read_rows
from srmd.base.files import TEMPORARY_FILES
from srmd.weights.checkpoint import load_checkpoint
from srmd.weights.files import read_weights

TRAIN = ["--mode=train", "--batch_size=2", "--patch_size=8", "--device=cpu", "--visdom=off", "--precision=fp32"]
RESTORE = ["--kernel=delta", "--noise_level=0", "--device=cpu", "--visdom=off"]
KILLED = -signal.SIGKILL
WAIT_SECONDS = 1200  # a busy machine is slow


def start(*arguments: str, program: Sequence[str] = ("-m", "srmd"), **options: object) -> subprocess.Popen:
    """Starts the command; `program` is what Python runs, `options` are those of Popen."""
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)


def run(*arguments: str, program: Sequence[str] = ("-m", "srmd"), **options: object) -> tuple[int, str]:
    """Exit code and standard error of the command."""
    process = start(*arguments, program=program, **options)
    _, error = process.communicate()
    return process.returncode, error


def train(output: str | Path, *flags: str) -> list[str]:
    """The flags of a run on the folder `pictures`; an existing run is resumed."""
    resume = ["--resume"] if Path(output, "config.json").exists() else []
    return [*TRAIN, f"--output={output}", *flags, *resume]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, pause: float = 0.05) -> None:
    """Waits until a condition holds; raises AssertionError if the process ends before, or if it takes too long."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert process.poll() is None, f"the process ended: {process.stderr.read()}"
        assert time.monotonic() < end, f"waited for {WAIT_SECONDS} s"
        time.sleep(pause)


def rows_of(folder: Path) -> list[dict]:
    """The rows of metrics.jsonl, whose last line may be half written; none if there is no such file."""
    try:
        return read_rows(str(folder))
    except (FileNotFoundError, ValueError):
        return []


def check_run_folder(folder: Path) -> None:
    """Asserts that every checkpoint and the network can be read, and that all their weights are finite."""
    states = [load_checkpoint(path).network for path in folder.glob("checkpoint-*.pt")]
    if (folder / "last.safetensors").exists():
        states.append(read_weights(folder / "last.safetensors").network.state_dict())
    assert all(torch.isfinite(tensor).all() for state in states for tensor in state.values())


def check_equal_runs(first: Path, second: Path) -> None:
    """Asserts that two runs have equal losses, newest checkpoints and networks, to the last bit, and no other files."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (first, second)]
    assert names[0] == names[1], names
    losses = [[(row["step"], row["loss"]) for row in read_rows(str(folder))] for folder in (first, second)]
    assert losses[0] == losses[1]
    states = [_tensors(vars(load_checkpoint(max(folder.glob("checkpoint-*.pt"))))) for folder in (first, second)]
    networks = [read_weights(folder / "last.safetensors").network.state_dict() for folder in (first, second)]
    for one, other in (states, networks):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def _tensors(value: object, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by their place in it."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {key: tensor for part, item in items for key, tensor in _tensors(item, f"{name}/{part}").items()}


def temporary_files(folder: Path, suffix: str = "") -> list[Path]:
    """The half-written files below a folder."""
    return [path for path in folder.rglob(TEMPORARY_FILES) if path.name.endswith(suffix)]


def error_lines(error: str) -> list[str]:
    """The lines of standard error without warnings and progress bars."""
    lines = re.split(r"[\r\n]+", error)
    return [line for line in lines if line.strip() and not re.match(r"\s*\d+%\||warning: ", line)]


def check_one_line(code: int, error: str, *expected: str) -> None:
    """Asserts that the command failed with one line that holds the expected texts."""
    assert code == 1, (code, error)
    assert len(error_lines(error)) == 1, error
    assert all(text in error_lines(error)[0] for text in expected), error


def resident(pid: int) -> float:
    """Resident memory of a process in MB; 0 when it has ended."""
    try:
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1e3 if match else 0.0
