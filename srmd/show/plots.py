"""Curves of a training, drawn."""

from pathlib import Path

import numpy as np

from srmd.base.files import atomic_write


def draw_loss(rows: list[dict], path: Path) -> None:
    """The loss over the steps, raw and smoothed, and the validation's PSNR beside bicubic's, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    steps, loss = [row["step"] for row in rows], [row["loss"] for row in rows]
    window = max(len(loss) // 50, 1)
    smooth = [np.mean(loss[max(i - window, 0) : i + 1]) for i in range(len(loss))]
    left.plot(steps, loss, color="tab:blue", alpha=0.25)
    left.plot(steps, smooth, color="tab:blue")
    left.set(xlabel="step", yscale="log")
    left.set_ylabel("loss", color="tab:blue")
    scored = [row for row in rows if None not in (row.get("psnr_y"), row.get("bicubic_psnr_y"))]
    if scored:
        right = left.twinx()
        at = [row["step"] for row in scored]
        right.plot(at, [row["psnr_y"] for row in scored], color="tab:orange", label="SRMD, validation")
        right.plot(at, [row["bicubic_psnr_y"] for row in scored], color="tab:grey", ls="--", label="bicubic")
        right.set_ylabel("PSNR of Y [dB]", color="tab:orange")
        figure.legend(loc="outside upper right", ncols=2)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)
