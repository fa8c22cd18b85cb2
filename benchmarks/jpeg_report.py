"""The tables and the plot of docs/jpeg.md, from the scores that `benchmarks/jpeg.py` stored."""

import re
import sys
from pathlib import Path

from benchmarks.jpeg_cells import (
    BICUBIC,
    ERRORS,
    GREY_QUALITIES,
    KERNELS,
    NOISE,
    QUALITIES,
    TOLD,
    UNTOLD,
    told,
    told_quality,
)
from benchmarks.jpeg_scores import Key, Scores, outdated_networks
from benchmarks.pages import replace_part
from benchmarks.plans import ROOT
from srmd.base.files import atomic_write

PAGE, PLOT = ROOT / "docs" / "jpeg.md", ROOT / "img" / "jpeg_quality.png"
TITLES = {
    BICUBIC: "JPEG, bicubic",
    TOLD: "told the tables",
    UNTOLD: "told nothing",
    told(-20): "quality told -20",
    told(20): "quality told +20",
}
GREY_DATA, GREY_NETWORK = "Classic5", "srmdj_x1"
# PSNR in dB of other networks on Classic5 by quality, as printed by FBCNN (Jiang, Zhang and Timofte, ICCV 2021)
PUBLISHED = {
    "ARCNN, one network for each quality": (29.03, 31.15, 32.51, 33.32),
    "DnCNN-3": (29.40, 31.63, 32.91, 33.77),
    "FBCNN": (30.12, 32.31, 33.54, 34.35),
}
PLOT_NETWORK, PLOT_DATA = "srmdj_x2", "Set5"
PLOT_TITLES = {"delta": "no blur", "gaussian:1.3": "blur of width 1.3 HR pixels"}


def write_report(scores: Scores) -> None:
    """Writes each table that is complete into docs/jpeg.md, and draws img/jpeg_quality.png."""
    if outdated := outdated_networks(scores):
        names = ", ".join(outdated)
        print(f"warning: the shipped {names} are not those that were scored; measure again", file=sys.stderr)
    parts = set(re.findall(r"^<!-- (.+) -->$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for network, data in dict.fromkeys((key.network, key.data) for key in scores):
        text = grey_table(scores) if data == GREY_DATA else table(scores, network, data)
        if text is None:
            print(f"{network} on {data} is left out: not all scores are there", file=sys.stderr)
        elif f"{network} {data}" not in parts:
            print(f"{network} on {data} is left out: {PAGE.name} has no part of this name", file=sys.stderr)
        else:
            replace_part(PAGE, f"{network} {data}", text)
    if any(losses(scores, kernel, quality) for kernel in KERNELS for quality in QUALITIES):
        draw(scores, PLOT)


def table(scores: Scores, network: str, data: str) -> str | None:
    """A Markdown table with a row for each kernel and quality; None if a score is missing."""
    header, rows = ["kernel", "quality", *TITLES.values(), "best noise level instead"], []
    for kernel in KERNELS:
        for quality in QUALITIES:
            keys = [Key(network, data, kernel, quality, column) for column in TITLES]
            if not all(key in scores for key in keys):
                return None
            cells = [f"{scores[key].psnr:.2f}" for key in keys]
            rows.append([kernel, str(quality), *cells, _best_noise_level(scores, keys[0])])
    return _markdown(header, rows)


def _best_noise_level(scores: Scores, row: Key) -> str:
    """The highest PSNR with an assumed noise level, and the level in brackets."""
    others = [key for key in scores if key[:4] == row[:4] and key.column.startswith(NOISE)]
    best = max(others, key=lambda key: scores[key].psnr)
    return f"{scores[best].psnr:.2f} ({best.column.removeprefix(NOISE).strip()})"


def grey_table(scores: Scores) -> str | None:
    """The table of grey pictures that are compressed only, beside other networks; None if a score is missing."""
    header, rows = ["quality", "JPEG", "told the tables", *PUBLISHED], []
    for quality, *published in zip(GREY_QUALITIES, *PUBLISHED.values(), strict=True):
        keys = [Key(GREY_NETWORK, GREY_DATA, KERNELS[0], quality, column) for column in (BICUBIC, TOLD)]
        if not all(key in scores for key in keys):
            return None
        cells = [*(scores[key].psnr for key in keys), *published]
        rows.append([str(quality), *(f"{psnr:.2f}" for psnr in cells)])
    return _markdown(header, rows)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |" for cells in (header, *rows))
    return "\n".join([first, "|---" * len(header) + "|", *others])


def losses(scores: Scores, kernel: str, quality: int) -> dict[int, float] | None:
    """PSNR in dB lost by each error of the quality that is told; None if a score is missing."""
    # Errors that end at the same quality, 1 or 100, have equal scores: one of them is taken.
    columns = {told_quality(quality, error) - quality: told(error) for error in ERRORS}
    keys = {error: Key(PLOT_NETWORK, PLOT_DATA, kernel, quality, column) for error, column in columns.items()}
    keys[0] = Key(PLOT_NETWORK, PLOT_DATA, kernel, quality, TOLD)
    if not all(key in scores for key in keys.values()):
        return None
    return {error: scores[keys[0]].psnr - scores[keys[error]].psnr for error in sorted(keys)}


def draw(scores: Scores, output: Path) -> None:
    """Plots what wrong qualities cost, a panel for each kernel; kernels and qualities without scores are left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, len(KERNELS), sharey=True)
    for axes, kernel in zip(panels, KERNELS, strict=True):
        for quality in QUALITIES:
            if lost := losses(scores, kernel, quality):
                axes.plot(list(lost), list(lost.values()), "o-", markersize=4, label=f"true quality {quality}")
        axes.set(xlabel="quality that is told, minus true quality", title=PLOT_TITLES[kernel])
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("PSNR of Y lost [dB]")
    panels[0].legend()
    with atomic_write(output) as temporary:
        figure.savefig(temporary, dpi=90)
