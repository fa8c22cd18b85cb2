"""Scores of the blind restoring benchmark, picture by picture, kept in a folder of JSON lines."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import srmd
from benchmarks.blind_cells import Cell, degrade_cell
from srmd.degradation import upsample
from srmd.evaluate.picture import hr_tensor, to_array
from srmd.pictures.files import read_picture
from srmd.pictures.metrics import score
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.restorer import Restorer, load
from srmd.weights.shipped import estimator_file, shipped_weights

BICUBIC, TRUTH, AUTO, NOISE_0 = "bicubic", "truth", "auto", "noise 0"
PACKAGE = Path(srmd.__file__).parent
RESTORE_SOURCES = ("decision.py", "estimate.py", "flat.py", "periodic.py")
ESTIMATOR_SOURCES = (PACKAGE / "estimator.py", *(PACKAGE / "restore" / name for name in RESTORE_SOURCES))


def columns_of(cell: Cell) -> tuple[str, ...]:
    """What is measured in a cell: with noise given as 0 only where there is none."""
    return (BICUBIC, TRUTH, AUTO) if cell.noise_level else (BICUBIC, TRUTH, AUTO, NOISE_0)


@dataclass(frozen=True)
class Pair:
    """A picture in a cell."""

    data: str  # Set5, Set14 or B100
    picture: Path
    cell: Cell

    def key(self, column: str) -> tuple:
        """What identifies a score of this pair."""
        return self.data, self.picture.name, self.cell.scale, self.cell.kernel, self.cell.noise_level, column


class ScoreCache:
    """The scores in the files of a folder, one file for each share, so that several processes can fill it.

    A score counts only while the weights and the estimator are those that it was measured with.
    """

    def __init__(self, folder: Path, share: str = "1/1"):
        self._path = folder / f"share-{share.replace('/', '-of-')}.jsonl"
        self._rows = {_key(row): row for path in sorted(folder.glob("*.jsonl")) for row in _read_rows(path)}

    def get(self, key: tuple, digest: str) -> dict | None:
        """The row of a score; None if it is missing or was measured with other weights."""
        row = self._rows.get(key)
        return row if row and row["digest"] == digest else None

    def complete_rows(self, pair: Pair, scorer: "ScaleScorer") -> list[dict] | None:
        """The rows of a pair in the order of its columns; None if one is missing."""
        rows = [self.get(pair.key(column), scorer.digest(column)) for column in columns_of(pair.cell)]
        return rows if all(rows) else None

    def add(self, row: dict) -> None:
        """Keeps a row, and appends it to this share's file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        is_cut_off = self._path.exists() and not self._path.read_bytes().endswith(b"\n")  # by a kill
        with self._path.open("a", encoding="utf-8") as file:
            if is_cut_off:
                file.write("\n")
            file.write(json.dumps(row) + "\n")
        self._rows[_key(row)] = row


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in ("data", "picture", "scale", "kernel", "noise_level", "column"))


def _read_rows(path: Path) -> Iterator[dict]:
    """The rows of a file; lines of processes that were killed may be cut off."""
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            yield json.loads(line)


class ScaleScorer:
    """The networks and the estimator of a scale."""

    def __init__(self, scale: int):
        self.scale = scale
        self._restorers: dict[bool, Restorer] = {}
        estimator = estimator_file(scale)
        networks = [shipped_weights(scale, noisy) for noisy in (False, True)]
        self._digests = {BICUBIC: "", TRUTH: _digest(networks)}
        self._digests |= dict.fromkeys((AUTO, NOISE_0), _digest([*networks, estimator, *ESTIMATOR_SOURCES]))

    def digest(self, column: str) -> str:
        """A hash of the files that a score depends on."""
        return self._digests[column]

    def restorer(self, noisy: bool) -> Restorer:
        """SRMD, or SRMDNF for pictures without noise."""
        if noisy not in self._restorers:
            weights = shipped_weights(self.scale, noisy)
            self._restorers[noisy] = load(weights, precision="fp32")
        return self._restorers[noisy]

    @cached_property
    def _estimator(self) -> BlindEstimator:
        return BlindEstimator(self.scale)

    def scores(self, pair: Pair, columns: Iterable[str]) -> Iterator[dict]:
        """A row for each column of a pair."""
        hr = hr_tensor(read_picture(pair.picture), self.scale)
        lr = degrade_cell(hr, pair.cell)
        for column in columns:
            start = time.perf_counter()
            sr, found = self._restore(lr, pair.cell, column)
            row = {"data": pair.data, "picture": pair.picture.name, "scale": self.scale, "kernel": pair.cell.kernel}
            row |= {"noise_level": pair.cell.noise_level, "column": column, "digest": self.digest(column)}
            row |= {"psnr_y": round(score(sr, to_array(hr), self.scale)["psnr_y"], 4)}
            yield row | found | {"seconds": round(time.perf_counter() - start, 3)}

    def _restore(self, lr: NDArray, cell: Cell, column: str) -> tuple[NDArray, dict]:
        """SR (H, W, 3) in 0 to 1, and further entries of the row."""
        if column == BICUBIC:
            picture = torch.from_numpy(lr / 255).permute(2, 0, 1)[None]
            return to_array(upsample(picture, self.scale)), {}
        if column == TRUTH:
            sr = self.restorer(cell.noise_level > 0).restore(lr, cell.kernel_array(), cell.noise_level)
            return sr / 255, {"clipped": round(float(np.isin(lr, (0, 255)).mean()), 4)}
        estimate = self._estimator.estimate(lr, noise_level=0.0 if column == NOISE_0 else None)
        sr = self.restorer(estimate.noise_level > 0).restore(lr, estimate.kernel_spec, estimate.noise_level)
        return sr / 255, estimate_entry(estimate)


def estimate_entry(estimate: Estimate) -> dict:
    """An estimate as JSON values."""
    return {"estimate": asdict(estimate) | {"kernel": estimate.kernel_spec, "sure": estimate.is_sure}}


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def measure(pairs: Iterable[Pair], cache: ScoreCache, scorers: dict[int, ScaleScorer]) -> Iterator[Pair]:
    """Measures what the cache does not hold yet; yields each pair when it is complete."""
    for pair in pairs:
        scorer = scorers[pair.cell.scale]
        columns = columns_of(pair.cell)
        missing = [column for column in columns if not cache.get(pair.key(column), scorer.digest(column))]
        for row in scorer.scores(pair, missing) if missing else ():
            cache.add(row)
        yield pair
