"""Scores blind restoring on Set5, Set14 and B100 beside the same networks told the truth, and published methods.

    python -m benchmarks.blind DATA                                    # everything; DATA holds Set5, Set14 and B100
    python -m benchmarks.blind DATA --share=1/2 & python -m benchmarks.blind DATA --share=2/2    # two processes
    python -m benchmarks.blind DATA --every=10 --scales=2 --tables=dasr,noise                    # a quick look
    python -m benchmarks.blind DATA --report                           # tables from the scores that are there
    python -m benchmarks.blind DATA --report --page=docs/blind_scores.md    # also writes that page

Four columns: bicubic upscaling; told the true kernel and noise level; auto, kernel and noise level estimated from LR;
and auto with the noise level given as 0. The degradation is that of DASR's tables: 21×21 kernels, reflected borders,
MATLAB's bicubic, LR rounded to 8 bits. Scores are kept in --output, picture by picture: a stopped run continues, and
scores of other weights are measured anew. Writes blind.json, and the tables as blind_scores.md and to --page, unless
that page reports more pairs.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.blind_cells import DATA, SCALES, TABLES, cells_of
from benchmarks.blind_scores import Pair, ScaleScorer, ScoreCache, measure
from benchmarks.blind_tables import Score, cells_below_floor, count_pairs, report, summary
from benchmarks.commands import command_parser, one_line_errors
from srmd.base.errors import InputError
from srmd.base.files import atomic_write, check_is_file, make_folder
from srmd.cli.values import whole
from srmd.pictures.folders import list_pictures


def pictures_of(folder: Path, every: int) -> list[tuple[str, Path]]:
    """Data set and path of each picture; of B100 every N-th. Raises InputError if there is no data set."""
    pictures = []
    for data in DATA:
        if (folder / data).is_dir():
            step = every if data == "B100" else 1
            pictures += [(data, path) for path in list_pictures(folder / data)[::step]]
    if not pictures:
        raise InputError(f"DATA: expected the folders Set5, Set14 or B100 in {folder}, found none of them")
    return pictures


def all_pairs(pictures: list[tuple[str, Path]], tables: Iterable[str], scales: Iterable[int]) -> list[Pair]:
    """Each picture in each cell."""
    cells = [cell for scale in scales for table in tables for cell in cells_of(table, scale)]
    return [Pair(data, path, cell) for cell in cells for data, path in pictures]


def _share(text: str) -> str:
    """Parses a share such as 1/2."""
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"expected a share such as 1/2, found {text!r}")
    return text


def share_of(pairs: list[Pair], share: str) -> list[Pair]:
    """The pairs of a share such as 1/2."""
    number, count = map(int, share.split("/"))
    return pairs[number - 1 :: count]


def write_report(text: str, scores: list[Score], folder: Path) -> None:
    """Prints the tables, and writes them with the summary and all rows."""
    print(text)
    rows = [row for score in scores for row in score.rows]
    content = {"summary": summary(scores), "below_floor": cells_below_floor(scores), "scores": rows}
    make_folder(folder)
    for name, written in (("blind_scores.md", text), ("blind.json", json.dumps(content, indent=1) + "\n")):
        with atomic_write(folder / name) as temporary:
            temporary.write_text(written, encoding="utf-8")


def measured_pairs(page: str) -> int:
    """How many pairs the text of a page reports; 0 if it states no number."""
    found = re.search(r"^(\d+) of the \d+ pairs ", page, re.MULTILINE)
    return int(found[1]) if found else 0


def write_page(text: str, page: Path) -> None:
    """Writes the tables to a page; raises InputError if it reports more pairs, or if nothing is measured."""
    if not text:
        raise InputError(f"{page}: expected scores to write, found none")
    if page.exists():
        check_is_file(page)
    before = measured_pairs(page.read_text(encoding="utf-8")) if page.exists() else 0
    if (measured := measured_pairs(text)) < before:
        raise InputError(f"{page}: expected scores of as many pairs as on the page, found {measured}")
    with atomic_write(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def options_of(arguments: list[str]) -> argparse.Namespace:
    """The parsed arguments."""
    parser = command_parser(__doc__)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder that contains Set5, Set14 or B100")
    parser.add_argument("--output", type=Path, default=Path("results/blind"), help="folder of scores and tables")
    parser.add_argument("--page", type=Path, metavar="FILE", help="page that is replaced by the tables")
    parser.add_argument(
        "--share", type=_share, default="1/1", metavar="I/N", help="measure only every N-th pair, from the I-th on"
    )
    parser.add_argument("--every", type=whole(1), default=1, metavar="N", help="use only every N-th picture of B100")
    parser.add_argument("--tables", default=",".join(TABLES), metavar="NAME,…", help="dasr, gaussian8, noise")
    parser.add_argument("--scales", default=",".join(map(str, SCALES)), metavar="N,…", help="2, 3, 4")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="CPU threads")
    parser.add_argument("--report", action="store_true", help="measure nothing; report the pairs that are complete")
    return parser.parse_args(arguments)


def _check_names(options: argparse.Namespace) -> None:
    """Raises InputError for a table or a scale that the benchmark does not have."""
    for name, known in (("tables", TABLES), ("scales", [*map(str, SCALES)])):
        for value in getattr(options, name).split(","):
            if value not in known:
                raise InputError(f"--{name}: expected {', '.join(known)}, found {value!r}")


def _command(options: argparse.Namespace) -> str:
    """The command that makes equal tables, with DATA in place of the folder."""
    every = f" --every={options.every}" if options.every > 1 else ""
    return f"python -m benchmarks.blind DATA --tables={options.tables} --scales={options.scales}{every}"


@one_line_errors()
def main(arguments: list[str]) -> None:
    """Measures what is missing, and reports if the share is the whole."""
    options = options_of(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    _check_names(options)
    scales = [int(scale) for scale in options.scales.split(",")]
    pairs = all_pairs(pictures_of(options.data, options.every), options.tables.split(","), scales)
    scorers = {scale: ScaleScorer(scale) for scale in scales}
    cache = ScoreCache(options.output, options.share)
    if not options.report:
        make_folder(options.output)
        share = share_of(pairs, options.share)
        for _ in tqdm(measure(share, cache, scorers), total=len(share), unit="pair", smoothing=0.05):
            pass
    scores = [Score(pair, rows) for pair in pairs if (rows := cache.complete_rows(pair, scorers[pair.cell.scale]))]
    text = report(scores, _command(options), count_pairs(pairs)) if scores else ""
    if scores and (options.report or options.share == "1/1"):
        write_report(text, scores, options.output)
    print(f"{count_pairs(score.pair for score in scores)} of {count_pairs(pairs)} pairs are measured")
    if options.page:
        write_page(text, options.page)


if __name__ == "__main__":
    main(sys.argv[1:])
