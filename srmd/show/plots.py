"""Plots of a training run."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srmd.base.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_loss(rows: list[dict], path: Path) -> None:
    """Plots the loss over the steps, raw and smoothed, and the validation PSNR of the network and of bicubic upscaling.

    Args:
        rows: rows of metrics.jsonl; those without `psnr_y` and `bicubic_psnr_y` have no PSNR in the plot.
        path: path of the PNG file to write.
    """
    figure = _loss_figure(rows, (8, 4.5))
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)


def loss_svg(rows: list[dict]) -> str:
    """The plot of `draw_loss` as an <svg> element for HTML pages; its lines have the colour of the page's text."""
    import matplotlib

    figure, buffer = _loss_figure(rows, (6, 3.75)), io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # texts as texts
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return svg.replace("#000000", "currentColor")


def _loss_figure(rows: list[dict], size: tuple[float, float]) -> "Figure":
    """The figure of a plot of `size` inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    loss_axes = figure.subplots()
    steps, loss = [row["step"] for row in rows], [row["loss"] for row in rows]
    window = max(len(loss) // 50, 1)  # number of earlier rows in the running mean
    smoothed = [np.mean(loss[max(i - window, 0) : i + 1]) for i in range(len(loss))]
    loss_axes.plot(steps, loss, color="tab:blue", alpha=0.25)
    loss_axes.plot(steps, smoothed, color="tab:blue")
    loss_axes.set(xlabel="step", yscale="log")
    loss_axes.set_ylabel("loss", color="tab:blue")
    scored = [row for row in rows if None not in (row.get("psnr_y"), row.get("bicubic_psnr_y"))]
    if scored:
        psnr_axes = loss_axes.twinx()
        steps = [row["step"] for row in scored]
        psnr_axes.plot(steps, [row["psnr_y"] for row in scored], color="tab:orange", label="SRMD, validation")
        psnr_axes.plot(steps, [row["bicubic_psnr_y"] for row in scored], color="tab:grey", ls="--", label="bicubic")
        psnr_axes.set_ylabel("PSNR of Y [dB]", color="tab:orange")
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure
