"""What an output folder says of its results: how each was made, in metrics.json and in the journals of unfinished runs.

A run appends a line to its journal after each result, and writes metrics.json at its end. The results of a run that was
killed are thus known, and the work for each result does not grow with their number.

Several runs may use a folder at once. A journal is locked as long as its run lives. A run that ends while another one
lives leaves all journals there, its own too: if both write metrics.json at the same time, one of these files lacks the
other run's last rows. The next run that ends alone removes them.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Self, TextIO

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import check_size, describe_path, is_locked, lock_while_open, name_in_errors
from srmd.config import AUTO, NamedMap
from srmd.evaluate.metrics_file import METRICS_FILE, degradation_entry, weights_entry
from srmd.evaluate.names import is_inside
from srmd.evaluate.networks import Networks
from srmd.evaluate.settings import known_noise_level
from srmd.pictures.folders import natural_order
from srmd.weights.estimators import read_estimator
from srmd.weights.shipped import estimator_file

JOURNALS = ".srmd-*.jsonl"
MAX_BYTES = 2**27  # of metrics.json or a journal; a picture takes about a thousand


class ResultRecords:
    """The rows of metrics.json for restored pictures, of this run and of earlier ones.

    What is not written by this package is ignored. Use it as a context, which closes the journal.

    Attributes:
        rows: by the result's path in the output folder, with / as separator. `settings` in a row is what
            `settings_entry` returns; in metrics.json it is an index into the list `settings`.

    Args:
        folder: the output folder, which need not exist.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows = _recorded_rows(folder)
        self._added: dict[str, dict] = {}  # the rows of this run
        self._journal: TextIO | None = None
        self._own_journals: list[Path] = []  # those of this run: one of each process
        self._unneeded_journals: list[Path] = []  # those whose rows `existing_rows` has returned, if no other run lives
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def add(self, row: dict) -> None:
        """Records a result; several threads may do so at once."""
        with self._lock:
            if self._journal is None:
                path = self.folder / JOURNALS.replace("*", uuid.uuid4().hex)
                self._journal = path.open("a", encoding="utf-8")
                lock_while_open(self._journal)
                self._own_journals.append(path)
            with name_in_errors(Path(self._journal.name)):
                self._journal.write(json.dumps(row) + "\n")
                self._journal.flush()
            self.rows[row["file"]] = self._added[row["file"]] = row

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._journal is not None:
            with name_in_errors(Path(self._journal.name)):
                self._journal.close()  # writes what a full disk has left in the buffer, and fails again

    def part(self) -> tuple[dict[str, dict], list[Path]]:
        """The rows and the journal of this process, of which one of several processes tells the others."""
        return self._added, self._own_journals

    def merge(self, parts: list[tuple[dict[str, dict], list[Path]]]) -> None:
        """Adds the rows and journals of all processes, given the `part` of each."""
        for added, journals in parts:
            self._added |= added
            self._own_journals += [path for path in journals if path not in self._own_journals]

    def existing_rows(self) -> list[dict]:
        """The rows of the results that exist, with those that other runs have recorded meanwhile.

        They are in the natural order of their files.
        """
        journals = list(self.folder.glob(JOURNALS))
        others_live = any(path not in self._own_journals and is_locked(path) for path in journals)
        self._unneeded_journals = [] if others_live else journals
        recorded = _recorded_rows(self.folder) | self._added
        rows = [row for file, row in recorded.items() if os.path.isfile(self.folder / file)]
        return sorted(rows, key=lambda row: natural_order(row["file"].split("/")))

    def remove_journals(self) -> None:
        """Removes the journals whose rows are now in metrics.json, unless another run uses the folder."""
        self._close()  # Windows can't remove an open file
        for journal in self._unneeded_journals:
            with suppress(PermissionError):  # on Windows: another process has it open
                journal.unlink(missing_ok=True)


def is_results_folder(folder: Path) -> bool:
    """Whether a folder holds the results of this package."""
    if any(folder.glob(JOURNALS)):
        return True
    with suppress(InputError):  # it is too large
        return _read_metrics(folder / METRICS_FILE).keys() >= {"version", "assumed", "images"}
    return False


def input_entry(source: Path) -> dict:
    """Path, size and time of change of an LR picture, by which a changed one is recognised."""
    status = source.stat()
    return {"path": str(source), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def settings_entry(networks: Networks) -> dict:
    """All settings that change the pixels of a restored picture, except for its file format, as JSON values.

    Engine, device, tiles and threads are left out: they change no pixel by more than the rounding of a computation.
    What is estimated is `auto`, beside a hash of what estimates it, so that nothing need be estimated to compare them.
    """
    request, assumed = networks.settings.request, networks.settings.assumed
    arrays = [] if assumed.kernels == AUTO else [kernel.array for kernel in assumed.kernels]
    arrays += [named.values for named in (assumed.regions, assumed.noise) if isinstance(named, NamedMap)]
    tensors = [tensor for network in networks.all() for tensor in network.weights.network.state_dict().values()]
    tensors += [network.weights.pca for network in networks.all()]
    return {
        "scale": networks.scale,
        **weights_entry(networks),
        "weights_digest": _digest(tensor.numpy() for tensor in tensors),
        "assumed": degradation_entry(assumed, networks.main.weights.network.config.conditions),
        "assumed_digest": _digest(arrays),
        "jpeg": networks.assumed_jpeg,
        "estimator_digest": _estimator_digest(networks.scale) if assumed.is_estimated else None,
        "known_noise_level": known_noise_level(networks.settings),  # not in `assumed` if the network takes none
        "self_ensemble": request.self_ensemble,
        "precision": request.precision,
        "outscale": request.outscale,
        "size": list(request.size) if request.size else None,
        # None rather than empty or False: files of earlier versions have no such entries.
        "kernel_grid": list(request.kernel_grid) or None,
        "noise_grid": list(request.noise_grid) or None,
        "estimate_map": request.estimate_map or None,
    }


def differences(old: dict, new: dict) -> list[str]:
    """The names of the settings that differ between two values of `settings_entry`.

    The paths of weights, kernels and maps do not count, but what these files contain.
    """
    names = ("scale", "weights_digest", "assumed_digest", "self_ensemble", "precision", "outscale", "size")
    names += ("jpeg", "kernel_grid", "noise_grid", "estimate_map")
    found = [name.removesuffix("_digest") for name in names if old.get(name) != new[name]]
    estimators = {old.get("estimator_digest"), new["estimator_digest"]}
    if None not in estimators and len(estimators) > 1:
        found.append("estimator")
    old_assumed, new_assumed = old.get("assumed", {}), new["assumed"]
    noise_differs = old_assumed.get("noise_level") != new_assumed["noise_level"]
    if old_assumed.get("kernel") == new_assumed["kernel"] == AUTO:
        noise_differs |= old.get("known_noise_level") != new["known_noise_level"]
    if noise_differs:
        found.append("noise_level")
    if old_assumed.get("region_blend") != new_assumed.get("region_blend"):
        found.append("region_blend")
    return found


def _estimator_digest(scale: int) -> str:
    """A hash of the weights of the estimator, and of the one for JPEGs in its file."""
    estimator = read_estimator(estimator_file(scale))
    networks = [network for network in (estimator.network, estimator.jpeg_network) if network is not None]
    return _digest(tensor.numpy() for network in networks for tensor in network.state_dict().values())


def _digest(arrays: Iterable[NDArray]) -> str:
    """A hash of the values of arrays and of their shapes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _read_metrics(path: Path) -> dict:
    if describe_path(path) != "a file":  # opening a pipe could block for ever
        return {}
    check_size(path, MAX_BYTES)
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def _recorded_rows(folder: Path) -> dict[str, dict]:
    """The rows of metrics.json and of all journals, by file; of several for a file that of the journal written last.

    The journals are read first: when another run removes one, metrics.json holds its rows already.
    """
    rows = [row for path in _by_time(folder.glob(JOURNALS)) for row in _rows_of_journal(path)]
    return {row["file"]: row for row in _rows_of_metrics(folder / METRICS_FILE) + rows}


def _by_time(paths: Iterable[Path]) -> list[Path]:
    """Files that exist, in the order in which they were last written to."""
    times = {}
    for path in paths:
        with suppress(FileNotFoundError):  # another run has removed it
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=times.get)


def _rows_of_metrics(path: Path) -> list[dict]:
    """The rows of restored pictures, with their settings in place of the index; none if the file is of another form."""
    metrics = _read_metrics(path)
    try:
        rows = [row for row in metrics["images"] if _is_valid(row)]
        return [row | {"settings": metrics["settings"][row["settings"]]} for row in rows]
    except (KeyError, TypeError, IndexError, AttributeError):
        return []


def _rows_of_journal(path: Path) -> list[dict]:
    if describe_path(path) != "a file":
        return []
    try:
        check_size(path, MAX_BYTES)
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # another run has removed it
        return []
    rows = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):  # the last line of a run that was killed may be cut off
            row = json.loads(line)
            if isinstance(row, dict) and _is_valid(row) and isinstance(row.get("settings"), dict):
                rows.append(row)
    return rows


def _is_valid(row: dict) -> bool:
    """Whether a row names a file of its folder, and its estimated kernel, if it has one, by its widths.

    Other kernels are names of files, which a row from elsewhere could let the program read.
    """
    file, estimated = row.get("file"), row.get("estimated", {})
    if not isinstance(file, str) or not is_inside(file) or not isinstance(estimated, dict):
        return False
    kernel = estimated.get("kernel", "delta")
    return isinstance(kernel, str) and (kernel == "delta" or kernel.startswith("gaussian:"))
