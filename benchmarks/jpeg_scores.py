"""The scores of networks that are told of JPEG, in benchmarks/jpeg_scores.csv: a row for each figure.

Several processes can write to one file: each waits until the others have written.
"""

import csv
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from benchmarks.jpeg_cells import BICUBIC, NOISE
from benchmarks.plans import shipped
from srmd.base.errors import InputError
from srmd.base.files import atomic_write

SCORES = Path(__file__).parent / "jpeg_scores.csv"
COMMENT = """\
# Networks that are told of JPEG, by python -m benchmarks.jpeg: PSNR of Y in dB, means over the pictures of a data set
# column: bicubic, LR enlarged (at x1 LR itself); told, the true tables; told -20, those of a quality that is 20 lower;
#   untold, told nothing of JPEG; noise 15, by SRMD of the same scale with that noise level assumed instead.
# weights: the first digits of the SHA-256 of the file of the network that restored; none for bicubic.
"""


class Key(NamedTuple):
    """What was measured."""

    network: str  # such as srmdj_x2
    data: str  # such as Set5
    kernel: str  # as `--kernel` takes it
    quality: int
    column: str


class Score(NamedTuple):
    """A figure."""

    psnr: float  # dB
    weights: str  # see COMMENT


Scores = dict[Key, Score]


def read_scores(path: Path) -> Scores:
    """The figures of a file; none if there is no file. Raises InputError for a file of another kind."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter=";")
    try:
        return {_key(row): Score(float(row["psnr"]), row["weights"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a file of scores, found {error!r}") from error


def _key(row: dict[str, str]) -> Key:
    return Key(row["network"], row["data"], row["kernel"], int(row["quality"]), row["column"])


def add_score(path: Path, key: Key, score: Score) -> None:
    """Writes a figure into a file, in the place of an older one."""
    with _lock(path):
        _write_scores(path, read_scores(path) | {key: score})


def drop_outdated(path: Path, keys: Iterable[Key], weights: str) -> None:
    """Removes those of the figures that were measured with other weights."""
    with _lock(path):
        scores = read_scores(path)
        outdated = {key for key in keys if key in scores and scores[key].weights != weights}
        if outdated:
            _write_scores(path, {key: score for key, score in scores.items() if key not in outdated})


def _lock(path: Path) -> FileLock:
    """The lock of those who write a file; its empty file `.NAME.lock` stays beside it."""
    # A soft lock would remain after a killed process.
    return FileLock(path.with_name(f".{path.name}.lock"), fallback_to_soft=False)


def _write_scores(path: Path, scores: Scores) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(COMMENT)
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(Key._fields + Score._fields)
        writer.writerows((*key, f"{score.psnr:.2f}", score.weights) for key, score in scores.items())


def network_of(network: str, column: str) -> str | None:
    """The name of the network that restores for a column: the one that is told of JPEG, or SRMD of its scale."""
    if column == BICUBIC:
        return None
    return network.replace("srmdj", "srmd") if column.startswith(NOISE) else network


@cache
def digest(weights: Path) -> str:
    """The first 12 digits of the SHA-256 of a file."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


def outdated_networks(scores: Scores) -> list[str]:
    """The names of the shipped networks whose weights are not those that were scored."""
    names = {(network_of(key.network, key.column), score.weights) for key, score in scores.items()}
    return sorted({name for name, weights in names if name and digest(shipped(name)) != weights})
