"""The folder of a training run: its configuration, metrics, checkpoints and lock; and which run to start or resume."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from datetime import datetime
from pathlib import Path

from srmd.base.distributed import Processes
from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import (
    atomic_write,
    check_is_file,
    check_size,
    describe_path,
    make_folder,
    name_in_errors,
    remove_temporary_files,
)
from srmd.base.kinds import describe_content
from srmd.config import TrainConfig, are_conditions
from srmd.pictures.metrics import non_finite_to_none
from srmd.weights.shipped import network_name

RUNS = Path("runs")
MAX_CONFIG_BYTES = 2**20
MAX_METRICS_BYTES = 2**28  # of metrics.jsonl; a row has about 150
KEPT_CHECKPOINTS = 3
# Numbers in a row of metrics.jsonl.
REQUIRED_NUMBERS = ("step", "loss", "lr", "images_per_s")
OPTIONAL_NUMBERS = ("psnr_y", "bicubic_psnr_y")
MAX_NUMBER = 1e300  # the plots add numbers
# Fields that config.json of older versions lacks. They get a value so that the file can be read; for a run of version
# 0.4.0, which can't be resumed, an error can then say so.
NEW_FIELDS = {"threads": None, "recursive": False, "pack_sizes": [1.0], "pack_sizes_lossy": None, "pca": None}
# Fields of TrainConfig that may have other values when a run is resumed.
CHANGEABLE_FIELDS = {"cache", "device", "visdom", "save_every", "output", "resume", "debug"}


class RunFolder:
    """`runs/NAME` with config.json, metrics.jsonl, checkpoint-STEP.pt, last.safetensors, loss.png and samples/."""

    def __init__(self, path: Path):
        self.path = path
        self.metrics = path / "metrics.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and lock it for this process; the lock ends with the process, even if it is killed.

        A folder that was created here is removed if no run begins in it. Raises InputError if another process
        has the lock.
        """
        from filelock import FileLock, Timeout  # imports asyncio, which no other mode needs

        existed = self.path.exists()
        with prefix_errors("output"):
            make_folder(self.path)
        file = self.path / ".lock"
        lock = FileLock(file, timeout=0, fallback_to_soft=False)  # a soft lock would remain after a killed process
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
                with suppress(PermissionError):  # Windows can't remove an open file; there `release` removes it
                    file.unlink()
            lock.release()
            if never_began and not existed:
                with suppress(OSError):  # another process may have begun a run in the folder
                    self.path.rmdir()

    def begin(self, config: TrainConfig, step: int) -> None:
        """Write config.json of a new run, or drop the metrics of a resumed run after the `step` of its checkpoint."""
        if (self.path / "config.json").exists():
            if config.resume is None:  # another process began a run here before this one got the lock
                raise InputError(f"{self.path} holds a run already; `resume` continues it", "output")
            self._drop_rows_after(step)
            for subfolder in (self.path, self.path / "samples"):
                remove_temporary_files(subfolder)  # those of a process that was killed; this one has the lock
            return
        with atomic_write(self.path / "config.json") as temporary:
            temporary.write_text(json.dumps(asdict(config), indent=2, default=str) + "\n", encoding="utf-8")

    def append(self, row: dict) -> None:
        """Append a row to metrics.jsonl."""
        with name_in_errors(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(non_finite_to_none(row), allow_nan=False) + "\n")

    def rows(self) -> list[dict]:
        """Return the rows of metrics.jsonl, without lines that a crash has cut short or damaged."""
        return [row for row in self.json_rows() if _is_row(row)]

    def json_rows(self) -> list[dict]:
        """Return the lines of metrics.jsonl that are JSON objects with a step, whatever else they hold."""
        if describe_path(self.metrics) == "no such file":
            return []
        check_is_file(self.metrics)
        check_size(self.metrics, MAX_METRICS_BYTES)
        rows = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                rows.append(json.loads(line))
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("step"), int)]

    def _drop_rows_after(self, step: int) -> None:
        kept = [row for row in self.rows() if row["step"] <= step]
        with atomic_write(self.metrics) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def checkpoint(self, step: int) -> Path:
        """Return the path of the checkpoint of a step."""
        return self.path / f"checkpoint-{step:07}.pt"

    def checkpoints(self) -> list[Path]:
        """Return the paths of all checkpoints, newest first."""
        matches = {path: re.fullmatch(r"checkpoint-(\d+)\.pt", path.name) for path in self.path.iterdir()}
        steps = {path: int(match[1]) for path, match in matches.items() if match}
        return sorted(steps, key=steps.get, reverse=True)

    def drop_old_checkpoints(self) -> None:
        """Remove all checkpoints but the newest three."""
        for path in self.checkpoints()[KEPT_CHECKPOINTS:]:
            path.unlink()


def _is_row(row: dict) -> bool:
    """Whether a row of metrics.jsonl has all numbers that every row has, and PSNRs that are numbers or null."""

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER

    return all(is_number(row.get(name)) for name in REQUIRED_NUMBERS) and all(
        row.get(name) is None or is_number(row[name]) for name in OPTIONAL_NUMBERS
    )


def run_config(arguments: dict) -> TrainConfig:
    """Return the configuration of a new run, or of one to resume.

    `arguments` holds the fields of TrainConfig that flags have set. With `resume` a run is resumed: the one in the
    folder `resume`; if this is empty, the one in the folder `output`; without `output`, the newest one. If there is no
    such run, a new one starts. Raises InputError if the folder of a new run holds a run already, if `resume` names a
    folder without a run, and if an argument differs from the configuration of the resumed run.
    """
    requested = TrainConfig(**arguments)
    resuming = "resume" in arguments
    folder = _folder_to_resume(requested) if resuming else requested.output
    folder = folder or RUNS / _new_name(requested)
    if not (folder / "config.json").exists():
        if folder.is_dir() and RunFolder(folder).checkpoints():
            raise InputError(f"{folder}: expected a run, found checkpoints without their config.json", "output")
        return replace(requested, output=folder)
    if not resuming:
        raise InputError(f"{folder} holds a run already; `resume` continues it", "output")
    stored = _read_config(folder / "config.json")
    for name, value in arguments.items():
        if name not in CHANGEABLE_FIELDS and name != "command" and value != getattr(stored, name):
            stored_value, found = _describe_value(name, getattr(stored, name)), _describe_value(name, value)
            raise InputError(f"the run in {folder} was started with {stored_value}, found {found}", name)
    changed = {name: arguments[name] for name in arguments.keys() & CHANGEABLE_FIELDS}
    return replace(stored, **changed | {"output": folder, "resume": str(folder)})


def check_shared_training(config: TrainConfig, processes: Processes) -> None:
    """Raise InputError if a configuration can't be trained by several processes."""
    if processes.are_several and config.batch_norm:  # its statistics would be those of a part of the batch
        raise InputError(f"expected a network without it, found {processes.count} processes", "batch_norm")
    if config.batch_size < processes.count:
        expected = f"expected at least {processes.count}, one patch for each process"
        raise InputError(f"{expected}, found {config.batch_size}", "batch_size")


def _describe_value(name: str, value: object) -> str:
    """The value of a flag as an error message states it."""
    if value is None:
        return "PyTorch's own number of threads" if name == "threads" else f"no {name}"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(each if isinstance(each, str) else f"{each:g}" for each in value)
    return str(value)


def _folder_to_resume(requested: TrainConfig) -> Path | None:
    """The folder of the run to resume; None if no folder is named and there is no run."""
    if not requested.resume:
        return requested.output or _newest_run()
    folder = Path(requested.resume)
    if requested.output and folder != requested.output:
        raise InputError(f"expected {requested.output}, the folder in `output`, found {folder}", "resume")
    if (found := describe_path(folder, missing="no such folder")) != "a folder":
        raise InputError(f"{folder}: expected the folder of a run, found {describe_content(folder) or found}", "resume")
    if not (folder / "config.json").exists():
        raise InputError(f"{folder}: expected the folder of a run, found one without its config.json", "resume")
    return folder


def _new_name(config: TrainConfig) -> str:
    return f"{network_name(config.conditions, config.scale_factor)}_{datetime.now():%Y%m%d-%H%M%S}"


def _newest_run() -> Path | None:
    runs = sorted(RUNS.glob("*/config.json"), key=lambda path: path.parent.stat().st_mtime)
    return runs[-1].parent if runs else None


def _read_config(path: Path) -> TrainConfig:
    """The configuration in config.json. Raises InputError if the file holds anything else."""
    with prefix_errors("resume"):
        check_is_file(path)
        check_size(path, MAX_CONFIG_BYTES)
    try:
        stored = NEW_FIELDS | json.loads(path.read_text(encoding="utf-8"))
        if "conditions" not in stored:
            stored["conditions"] = _old_conditions(stored["noise_free"])
        values = {field.name: stored[field.name] for field in fields(TrainConfig)}
        for name in ("pack_sizes", "pack_sizes_lossy"):  # JSON has no tuples
            values[name] = None if values[name] is None else tuple(map(float, values[name]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: expected a run's configuration, found {error!r}", "resume") from error
    if not are_conditions(values["conditions"]):
        raise InputError(f"{path}: expected valid conditions, found {values['conditions']!r}", "resume")
    values["conditions"] = tuple(values["conditions"])
    for field in fields(TrainConfig):
        if field.default is not None and type(values[field.name]) is not type(field.default):
            raise InputError(f"{path}: expected a valid {field.name}, found {values[field.name]!r}", "resume")
    for name in ("output", "weights", "pca", "train_data", "train_kernels"):
        if values[name] is not None:
            values[name] = Path(str(values[name]))
    return TrainConfig(**values)


def _old_conditions(noise_free: object) -> list[str]:
    """The conditions in a config.json of an older version, which has `noise_free` in their place."""
    if not isinstance(noise_free, bool):
        raise ValueError(f"noise_free: {noise_free!r}")
    return ["kernel"] if noise_free else ["kernel", "noise"]
