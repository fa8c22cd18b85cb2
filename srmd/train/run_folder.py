"""A run's folder: its configuration, its metrics, where its checkpoints lie, and who may write to it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import atomic_write, make_folder
from srmd.config import TrainConfig
from srmd.pictures.metrics import without_infinities

RUNS = Path("runs")
KEPT_CHECKPOINTS = 3
ADDED = {"threads": None}  # since version 0.4.0, whose runs are read so that they can be told why they do not go on
MAY_CHANGE = {"cache", "device", "visdom", "save_every", "output", "resume", "debug"}  # when a run is resumed


class RunFolder:
    """`runs/NAME` with config.json, metrics.jsonl, checkpoint-STEP.pt, last.safetensors, loss.png and samples/."""

    def __init__(self, path: Path):
        self.path = path
        self.metrics = path / "metrics.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps every other process out; the lock dies with the process that holds it.

        A run that never began, for something else was wrong with it, leaves no folder that wasn't there before.
        """
        from filelock import FileLock, Timeout  # here, for it imports asyncio, which no other mode needs

        was_there = self.path.exists()
        with prefix_errors("output"):
            make_folder(self.path)
        file = self.path / ".lock"
        lock = FileLock(file, timeout=0, fallback_to_soft=False)  # a soft lock would outlive a process that was killed
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(f"{self.path} is in use by another process", "output") from error
        except OSError as error:
            raise InputError(f"{self.path}: can't be locked ({error.strerror})", "output") from error
        try:
            yield
        finally:
            never_began = [path.name for path in self.path.iterdir()] == [".lock"]
            if never_began:
                with suppress(PermissionError):  # Windows removes no open file; there the release does it
                    file.unlink()
            lock.release()
            if never_began and not was_there:
                with suppress(OSError):  # the next process may have begun in it
                    self.path.rmdir()

    def begin(self, config: TrainConfig, step: int) -> None:
        """Writes config.json where a run starts; where one goes on behind a step, forgets what was logged since."""
        if (self.path / "config.json").exists():
            if config.resume is None:  # another process was quicker
                raise InputError(f"{self.path} holds a run already; `resume` goes on with it", "output")
            self._drop_rows_after(step)
            return
        with atomic_write(self.path / "config.json") as temporary:
            temporary.write_text(json.dumps(asdict(config), indent=2, default=str) + "\n", encoding="utf-8")

    def append(self, row: dict) -> None:
        """One whole line more in metrics.jsonl."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(without_infinities(row), allow_nan=False) + "\n")

    def rows(self) -> list[dict]:
        """All that metrics.jsonl holds; a line that a crash cut short or spoilt is left out."""
        text = self.metrics.read_text(encoding="utf-8", errors="replace") if self.metrics.exists() else ""
        rows = []
        for line in text.splitlines():
            with suppress(ValueError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("step"), int)]

    def _drop_rows_after(self, step: int) -> None:
        kept = [row for row in self.rows() if row["step"] <= step]
        with atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / f"checkpoint-{step:07}.pt"

    def checkpoints(self) -> list[Path]:
        """Newest first."""
        numbers = {path: re.fullmatch(r"checkpoint-(\d+)\.pt", path.name) for path in self.path.iterdir()}
        return sorted((path for path, match in numbers.items() if match), key=lambda p: -int(numbers[p][1]))

    def drop_old_checkpoints(self) -> None:
        """Keeps the last few."""
        for path in self.checkpoints()[KEPT_CHECKPOINTS:]:
            path.unlink()


def run_config(given: dict) -> TrainConfig:
    """The configuration of the run that the given flags ask for: a new one, or one that is there and is resumed."""
    asked = TrainConfig(**given)
    folder = asked.output
    if "resume" in given:
        folder = Path(asked.resume) if asked.resume else asked.output or _newest_run()
        if asked.output and folder != asked.output:
            raise InputError(f"expected {asked.output}, as `output` says, found {folder}", "resume")
        if asked.resume and not folder.is_dir():
            raise InputError(f"{folder}: expected a run, found no such folder", "resume")
        if asked.resume and not (folder / "config.json").exists():
            raise InputError(f"{folder}: expected a run, found a folder without its config.json", "resume")
    folder = folder or RUNS / _new_name(asked)
    if not (folder / "config.json").exists():
        if folder.is_dir() and RunFolder(folder).checkpoints():
            raise InputError(f"{folder}: expected a run, found checkpoints without their config.json", "output")
        return replace(asked, output=folder)
    if "resume" not in given:
        raise InputError(f"{folder} holds a run already; `resume` goes on with it", "output")
    stored = _stored_config(folder / "config.json")
    for name in given.keys() - MAY_CHANGE - {"command"}:
        if given[name] != getattr(stored, name):
            stored_value, found = (_describe_value(name, value) for value in (getattr(stored, name), given[name]))
            raise InputError(f"the run in {folder} was started with {stored_value}, found {found}", name)
    changed = {name: given[name] for name in given.keys() & MAY_CHANGE}
    return replace(stored, **changed | {"output": folder, "resume": str(folder)})


def _describe_value(name: str, value: object) -> str:
    if value is None:
        return "PyTorch's own number of threads" if name == "threads" else f"no {name}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _new_name(config: TrainConfig) -> str:
    kind = "srmdnf" if config.noise_free else "srmd"
    return f"{kind}_x{config.scale_factor}_{datetime.now():%Y%m%d-%H%M%S}"


def _newest_run() -> Path | None:
    runs = sorted(RUNS.glob("*/config.json"), key=lambda path: path.parent.stat().st_mtime)
    return runs[-1].parent if runs else None


def _stored_config(path: Path) -> TrainConfig:
    """config.json as it was written; InputError where it is anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name: (ADDED | values)[field.name] for field in fields(TrainConfig)}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a run's configuration, found {error!r}", "resume") from error
    for field in fields(TrainConfig):
        if field.default is not None and type(known[field.name]) is not type(field.default):
            raise InputError(f"{path}: expected a valid {field.name}, found {known[field.name]!r}", "resume")
    paths = {
        name: Path(str(known[name]))
        for name in ("output", "weights", "train_data", "train_kernels")
        if known[name] is not None
    }
    return TrainConfig(**known | paths)
