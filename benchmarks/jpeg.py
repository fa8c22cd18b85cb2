"""Scores networks that are told of JPEG, and writes the tables and the plot of docs/jpeg.md.

    python -m benchmarks.jpeg weights/srmdj_x2.safetensors Set5 Set14       # blurred, downsampled, compressed in 4:2:0
    python -m benchmarks.jpeg weights/srmdj_x1.safetensors Classic5 --grey  # compressed only, for deblocking
    python -m benchmarks.jpeg weights/srmdj_x2.safetensors Set5 --curve     # qualities told wrongly by up to 30
    python -m benchmarks.jpeg --report                                      # from the stored scores

Each picture is restored by the network told its tables, told nothing of them, and told tables of a wrong quality. It is
also restored by SRMD, which cannot be told of JPEG: in place of the compression, noise is assumed, with the level that
gives the highest mean. PSNR of Y in dB, means over the pictures. Grey pictures are scored on their 8-bit values, with
their borders, as in the tables of ARCNN, DnCNN and FBCNN.

Each figure is stored in benchmarks/jpeg_scores.csv when it is measured. A run that was stopped goes on where it was;
figures measured with the same weights are not measured again. Several runs may store their figures at the same time.
"""

import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.commands import add_test_data, command_parser, one_line_errors
from benchmarks.crops import modcrop_picture
from benchmarks.jpeg_cells import (
    BICUBIC,
    ERRORS,
    GREY_QUALITIES,
    KERNELS,
    NOISE,
    QUALITIES,
    TOLD,
    UNTOLD,
    Cell,
    assumed_noise,
    told,
    told_quality,
)
from benchmarks.jpeg_report import write_report
from benchmarks.jpeg_scores import SCORES, Key, Score, add_score, digest, drop_outdated, read_scores
from benchmarks.plans import shipped
from srmd.base.errors import InputError
from srmd.cli.values import existing_file
from srmd.evaluate.resize import resize_picture
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import psnr, score
from srmd.pictures.picture import has_equal_channels
from srmd.restore.restorer import load

NOISE_LEVELS = (0, 5, 10, 15, 20, 30)  # assumed instead of JPEG
FIRST_NOISE_LEVEL = 2  # index of the one that is tried first


class Benchmark:
    """A network that is told of JPEG, SRMD of its scale, and the file of their scores."""

    def __init__(self, weights: Path, file: Path, is_grey: bool = False):
        self.network = load(str(weights), precision="fp32")
        if "jpeg" not in self.network.config.conditions:
            raise InputError(f"{weights}: expected a network that is told of JPEG, found {self.network.config.kind}")
        self.scale = self.network.config.scale
        srmd = shipped(f"srmd_x{self.scale}")
        self.srmd = load(str(srmd), precision="fp32")
        self._name, self._file, self._is_grey = weights.stem, file, is_grey
        self._digests = {BICUBIC: "", TOLD: digest(weights), UNTOLD: digest(weights), NOISE: digest(srmd)}

    def measure_tables(self, folder: Path) -> None:
        """Measures what the table of a folder shows."""
        for cell in self._cells(folder):
            self._measure_best_noise_level(cell)
            # LR itself comes last: where it was scored, the row is complete.
            for column in (TOLD, UNTOLD, told(-20), told(20), BICUBIC):
                self.psnr(cell, column)

    def measure_curves(self, folder: Path) -> None:
        """Measures what the plot shows."""
        for cell in self._cells(folder):
            for column in (TOLD, *map(told, ERRORS)):
                self.psnr(cell, column)

    def _cells(self, folder: Path) -> list[Cell]:
        pictures = [modcrop_picture(read_picture(path).pixels, self.scale) for path in list_pictures(folder)]
        are_grey = all(map(has_equal_channels, pictures))
        if self._is_grey and not are_grey:
            raise InputError(f"{folder}: expected grey pictures with --grey, found colours")
        if are_grey and not self._is_grey:
            raise InputError(f"{folder}: expected --grey for grey pictures, found them without it")
        kernels, qualities = (KERNELS[:1], GREY_QUALITIES) if self._is_grey else (KERNELS, QUALITIES)
        pairs = [(kernel, quality) for kernel in kernels for quality in qualities]
        return [Cell(folder.name, kernel, quality, pictures, self.scale) for kernel, quality in pairs]

    def _measure_best_noise_level(self, cell: Cell) -> None:
        """Measures upwards and downwards while PSNR rises: it has one maximum over the noise level that is assumed."""
        columns = [assumed_noise(level) for level in NOISE_LEVELS]
        for step in (-1, 1):
            index = FIRST_NOISE_LEVEL
            while 0 <= index + step < len(columns) and self._rises(cell, columns[index], columns[index + step]):
                index += step
        # A level that is no longer tried would keep the figure of older weights.
        drop_outdated(self._file, [self._key(cell, column) for column in columns], self._digests[NOISE])

    def _rises(self, cell: Cell, column: str, next_column: str) -> bool:
        return self.psnr(cell, next_column) > self.psnr(cell, column)

    def psnr(self, cell: Cell, column: str) -> float:
        """The mean over the pictures, dB: as stored, if it was measured with the same weights, or else measured."""
        key, weights = self._key(cell, column), self._digests[column.split()[0]]
        known = read_scores(self._file).get(key)
        if known is None or known.weights != weights:
            pairs = zip(cell.lr, cell.hr, strict=True)
            mean = statistics.mean(self._score(self._restore(lr, cell, column), hr) for lr, hr in pairs)
            known = Score(round(mean, 2), weights)
            add_score(self._file, key, known)
            print(*key, f"{known.psnr:.2f}", flush=True)
        return known.psnr

    def _key(self, cell: Cell, column: str) -> Key:
        return Key(self._name, cell.data, cell.kernel, cell.quality, column)

    def _restore(self, lr: NDArray, cell: Cell, column: str) -> NDArray:
        kind, _, number = column.partition(" ")
        if kind == BICUBIC:
            return _enlarged(lr, self.scale)
        if kind == NOISE:
            return self.srmd.restore(lr, cell.kernel, float(number))
        jpeg = None if kind == UNTOLD else told_quality(cell.quality, int(number or 0))
        return self.network.restore(lr, cell.kernel, 0, jpeg=jpeg)

    def _score(self, sr: NDArray, hr: NDArray) -> float:
        if self._is_grey:
            return psnr(sr[..., 0].astype(np.float64), hr[..., 0].astype(np.float64))
        return score(sr / 255, hr / 255, self.scale)["psnr_y"]


def _enlarged(lr: NDArray, scale: int) -> NDArray:
    if scale == 1:
        return lr
    return resize_picture(lr, (lr.shape[0] * scale, lr.shape[1] * scale), np.dtype(np.uint8))


@one_line_errors()
def main() -> None:
    """Measures and stores, or writes the report."""
    parser = command_parser(__doc__)
    parser.add_argument("weights", type=existing_file, nargs="?", help="a network that is told of JPEG")
    add_test_data(parser, "folders")
    parser.add_argument("--grey", action="store_true", help="grey pictures that are compressed only, for x1")
    parser.add_argument("--curve", action="store_true", help="measure what the plot shows instead of the table")
    parser.add_argument("--scores", type=Path, default=SCORES, metavar="FILE", help="where scores are kept (.csv)")
    parser.add_argument("--report", action="store_true", help="write docs/jpeg.md and img/jpeg_quality.png from scores")
    options = parser.parse_args()
    if options.report:
        if options.weights:
            parser.error("--report: expected no network, found one")
        scores = read_scores(options.scores)
        if not scores:
            raise InputError(f"{options.scores}: expected scores, found none")
        write_report(scores)
        return
    if not options.folders:
        parser.error("expected a network and folders of HR pictures, or --report")
    is_shipped = options.weights.resolve() == shipped(options.weights.stem).resolve()
    if options.scores.resolve() == SCORES.resolve() and not is_shipped:
        raise InputError(f"{options.weights}: expected a shipped network, or another file by --scores")
    benchmark = Benchmark(options.weights, options.scores, options.grey)
    for folder in options.folders:
        if options.curve:
            benchmark.measure_curves(folder)
        else:
            benchmark.measure_tables(folder)


if __name__ == "__main__":
    main()
