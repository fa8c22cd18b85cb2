"""The Markdown tables and the summary of the blind restoring benchmark."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.blind_cells import DATA, GAUSSIAN8_RANGES, NOISE_LEVELS, SCALES, Cell, cells_of, published_scores
from benchmarks.blind_scores import AUTO, BICUBIC, NOISE_0, TRUTH, Pair, columns_of

MAX_CLIPPED = 0.01  # share of LR's values that are 0 or 255 above which a picture counts as clipped
SHARED = "Pairs that two tables share are counted in both."
COLUMN_TITLES = {BICUBIC: "bicubic", TRUTH: "told the truth", AUTO: "auto", NOISE_0: "auto, noise given as 0"}
METHOD_TITLES = {
    "bicubic": "bicubic, printed",
    "srmdnf_ikc": "SRMDNF + IKC's predictor",
    "ikc": "IKC",
    "danv2": "DANv2",
    "dasr": "DASR",
}


@dataclass(frozen=True)
class Score:
    """What was measured of a picture in a cell: a row for each column."""

    pair: Pair
    rows: list[dict]

    def psnr(self, column: str) -> float:
        """PSNR of Y in dB."""
        return self._row(column)["psnr_y"]

    def loss(self, column: str = AUTO) -> float:
        """How far a column is below the network told the truth, in dB."""
        return self.psnr(TRUTH) - self.psnr(column)

    @property
    def is_clipped(self) -> bool:
        """Whether the noise of the picture was cut off at black or white in many places."""
        return self._row(TRUTH)["clipped"] > MAX_CLIPPED

    @property
    def noise_error(self) -> float:
        """The absolute error of the estimated noise level."""
        return abs(self._row(AUTO)["estimate"]["noise_level"] - self.pair.cell.noise_level)

    def _row(self, column: str) -> dict:
        return self.rows[columns_of(self.pair.cell).index(column)]


def select(scores: Iterable[Score], table: str, scale: int | None = None, data: str | None = None) -> list[Score]:
    """The scores of a table, and of a scale and a data set if these are given."""
    return [
        score
        for score in scores
        if score.pair.cell.table == table and scale in (None, score.pair.cell.scale) and data in (None, score.pair.data)
    ]


def markdown(headers: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def by_cell(scores: Iterable[Score]) -> dict[tuple[Cell, str], list[Score]]:
    """The scores by cell and data set."""
    groups: dict[tuple[Cell, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.pair.cell, score.pair.data), []).append(score)
    return groups


def is_whole(data: str, scores: Iterable[Score], cells: int = 1) -> bool:
    """Whether each of so many cells has all pictures of a data set, so that published means may stand beside ours."""
    counts = [len({score.pair.picture for score in group}) for group in by_cell(scores).values()]
    return counts == [DATA[data]] * cells


def count_pairs(pairs: Iterable[Pair]) -> int:
    """The number of pairs, of which tables that have a degradation in common share some."""
    return len({pair.key(AUTO) for pair in pairs})


def distinct(scores: Iterable[Score]) -> list[Score]:
    """The scores, each pair once, even if it belongs to several tables."""
    by_pair: dict[tuple, Score] = {}
    for score in scores:
        by_pair.setdefault(score.pair.key(AUTO), score)
    return [*by_pair.values()]


def dasr_table(scores: list[Score]) -> str:
    """A row for each cell of DASR's table 2 and each data set: our columns, the published ones, and the losses.

    Published means stand only beside means over all pictures of the data set.
    """
    published, methods = published_scores(), ("srmdnf_ikc", "dasr", "ikc")
    headers = ["scale, width", "pictures", *COLUMN_TITLES.values(), *(METHOD_TITLES[method] for method in methods)]
    rows = []
    for (cell, data), group in by_cell(select(scores, "dasr")).items():
        printed = published.get(("dasr", cell.scale, cell.width, data), {}) if is_whole(data, group) else {}
        name = [f"x{cell.scale}, {cell.width:g}", f"{data} ({len(group)})"]
        losses = [_loss_text(group, AUTO), _loss_text(group, NOISE_0)]
        rows.append([*name, *_means(group, COLUMN_TITLES), *_printed(printed, methods), *losses])
    return markdown([*headers, "loss of auto: mean, worst", "loss with noise given as 0"], rows)


def gaussian8_table(scores: list[Score]) -> str:
    """A row for each scale and data set with the means over eight widths."""
    published, methods = published_scores(), ("bicubic", "ikc", "danv2", "dasr")
    rows = []
    for scale in SCALES:
        low, high = GAUSSIAN8_RANGES[scale]
        for data in DATA:
            if group := select(scores, "gaussian8", scale, data):
                is_complete = is_whole(data, group, len(cells_of("gaussian8", scale)))
                printed = published[("gaussian8", scale, None, data)] if is_complete else {}
                name = [f"x{scale}, {low:g} to {high:g}", data]
                rows.append([*name, *_means(group, COLUMN_TITLES), *_printed(printed, methods)])
    titles = [METHOD_TITLES[method] for method in methods]
    return markdown(["scale, widths", "pictures", *COLUMN_TITLES.values(), *titles], rows)


def noise_table(scores: list[Score]) -> str:
    """A row for each scale, noise level and kind of kernel, with means over widths and over all pictures."""
    rows = []
    for scale in SCALES:
        for level in NOISE_LEVELS:
            for isotropic in (True, False):
                group = [
                    score
                    for score in select(scores, "noise", scale)
                    if (score.pair.cell.noise_level, score.pair.cell.is_isotropic) == (level, isotropic)
                ]
                if group:
                    name = [f"x{scale}", str(level), "isotropic" if isotropic else "anisotropic"]
                    rows.append([*name, *_means(group, (BICUBIC, TRUTH, AUTO)), _loss_text(group, AUTO)])
    titles = [COLUMN_TITLES[column] for column in (BICUBIC, TRUTH, AUTO)]
    return markdown(["scale", "noise level", "kernels", *titles, "loss of auto: mean, worst"], rows)


def noise_error_table(scores: list[Score]) -> str:
    """The mean error of the noise level for each scale and noise level, on unclipped and clipped pictures."""
    rows = []
    for scale in SCALES:
        for level in (0, *NOISE_LEVELS):
            group = [s for s in scores if (s.pair.cell.scale, s.pair.cell.noise_level) == (scale, level)]
            parts = [[s.noise_error for s in group if s.is_clipped == clipped] for clipped in (False, True)]
            if group:
                texts = [f"{np.mean(part):.2f} ({len(part)})" if part else "–" for part in parts]
                rows.append([f"x{scale}", str(level), *texts])
    return markdown(["scale", "noise level", "unclipped (pairs)", "clipped (pairs)"], rows)


def summary(scores: list[Score]) -> dict[str, float]:
    """The figures that are compared with the aims, by name; each in dB unless the name says otherwise."""
    figures: dict[str, float] = {}
    for table in ("dasr", "gaussian8", "noise"):
        for scale in SCALES:
            if group := select(scores, table, scale):
                figures |= _loss_figures(f"{table} x{scale}", group)
        if group := select(scores, table):
            figures |= _loss_figures(table, group)
    if sharp := [score for score in select(scores, "dasr") if score.pair.cell.kernel == "delta"]:
        figures |= _loss_figures("sharp and clean", sharp)
    if noisy := select(scores, "noise"):
        for clipped, name in ((False, "unclipped"), (True, "clipped")):
            errors = [score.noise_error for score in noisy if score.is_clipped == clipped]
            figures |= {f"noise level, {name}: mean error": float(np.mean(errors))} if errors else {}
    below = [score.psnr(AUTO) < score.psnr(BICUBIC) for score in distinct(scores)]
    return figures | {
        "pairs below bicubic, percent": 100 * float(np.mean(below)),
        "cells below SRMDNF + IKC's predictor, count": len(cells_below_floor(scores)),
    }


def _loss_figures(name: str, group: list[Score]) -> dict[str, float]:
    """The mean over cells of the mean loss over pictures, and the worst picture, for each automatic column."""
    figures = {}
    for column in (AUTO, NOISE_0):
        cells = by_cell(score for score in group if column in columns_of(score.pair.cell))
        if cells:
            means = [np.mean([score.loss(column) for score in scores]) for scores in cells.values()]
            worst = max(score.loss(column) for scores in cells.values() for score in scores)
            title = f"{name}, {COLUMN_TITLES[column]}"
            figures |= {f"{title}: mean loss": float(np.mean(means)), f"{title}: worst picture": float(worst)}
    return figures


def cells_below_floor(scores: list[Score]) -> list[str]:
    """The cells in which auto is not better than SRMDNF with IKC's predictor, among those of whole data sets."""
    published, below = published_scores(), []
    for (cell, data), group in by_cell(select(scores, "dasr")).items():
        printed = published.get(("dasr", cell.scale, cell.width, data))
        mean = np.mean([score.psnr(AUTO) for score in group])
        if printed and is_whole(data, group) and mean <= printed["srmdnf_ikc"]:
            below.append(f"x{cell.scale}, width {cell.width:g}, {data}")
    return below


def worst_pairs(scores: list[Score], count: int = 10) -> str:
    """The pairs with the largest losses, with what was estimated of them."""
    rows = []
    for score in sorted(distinct(scores), key=Score.loss, reverse=True)[:count]:
        cell, row = score.pair.cell, score.rows[columns_of(score.pair.cell).index(AUTO)]
        found = f"`{row['estimate']['kernel']}`, noise {row['estimate']['noise_level']:g}"
        name = [f"{score.pair.data}/{score.pair.picture.stem}", f"x{cell.scale}"]
        rows.append([*name, f"`{cell.kernel}`, noise {cell.noise_level}", found, f"{score.loss():.2f}"])
    return markdown(["picture", "scale", "applied", "estimated", "loss, dB"], rows)


def report(scores: list[Score], command: str, pairs: int) -> str:
    """All tables and the summary as a Markdown page; `pairs` is the number of pairs when all are measured."""
    return "\n\n".join(_sections(scores, command, pairs)) + "\n"


def _sections(scores: list[Score], command: str, pairs: int) -> Iterator[str]:
    counts = {data: len({score.pair.picture for score in scores if score.pair.data == data}) for data in DATA}
    pictures = ", ".join(f"{count} of {data}" for data, count in counts.items() if count)
    yield "# Scores of blind restoring"
    yield f"Made by this command; do not edit.\n\n```text\n{command}\n```"
    yield f"PSNR of Y in dB. Pictures: {pictures}. LR is rounded to 8 bits."
    measured = count_pairs(score.pair for score in scores)
    yield f"{measured} of the {pairs} pairs of picture and degradation are measured."
    yield "\n".join(
        ["| figure | value |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in summary(scores).items())]
    )
    for table, title, make in (
        ("dasr", "Isotropic blur without noise: the cells of DASR's table 2", dasr_table),
        ("gaussian8", "Gaussian8: means over eight widths without noise", gaussian8_table),
        ("noise", "Noise", noise_table),
    ):
        if select(scores, table):
            yield f"## {title}\n\n{make(scores)}"
    clipped = f"clipped: more than {MAX_CLIPPED:.0%} of LR's values are 0 or 255"
    yield f"## Mean error of the estimated noise level\n\nA picture counts as {clipped}. {SHARED}"
    yield noise_error_table(scores)
    yield f"## The largest losses\n\n{worst_pairs(scores)}"


def _means(group: list[Score], columns: Iterable[str]) -> list[str]:
    return [f"{np.mean([score.psnr(column) for score in group]):.2f}" for column in columns]


def _printed(printed: dict[str, float], methods: Iterable[str]) -> list[str]:
    return [f"{printed[method]:.2f}" if method in printed else "–" for method in methods]


def _loss_text(group: list[Score], column: str) -> str:
    losses = [score.loss(column) for score in group]
    return f"{np.mean(losses):.2f}, {max(losses):.2f}"
