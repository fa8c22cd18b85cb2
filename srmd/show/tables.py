"""Tables of scores as text."""

import numpy as np


def mean_row(rows: list[dict]) -> dict:
    """A row named `mean` with the mean of each number over the rows."""
    return {"name": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "name"}


def table(rows: list[dict]) -> str:
    """A line for each picture and one for the mean: PSNR and SSIM of Y."""
    rows = [*rows, mean_row(rows)]
    width = max(len(row["name"]) for row in rows)
    header = f"{'':{width}}  bicubic PSNR / SSIM   network PSNR / SSIM   gain [dB]"
    return "\n".join([header, *(_table_row(row, width) for row in rows)])


def _table_row(row: dict, width: int) -> str:
    bicubic = f"{row['bicubic_psnr_y']:12.2f} / {row['bicubic_ssim_y']:.4f}"
    network = f"{row['psnr_y']:13.2f} / {row['ssim_y']:.4f}"
    gain = row["psnr_y"] - row["bicubic_psnr_y"]
    gain_text = "–" if np.isnan(gain) else f"{gain:.2f}"  # NaN where both PSNRs are infinite
    return f"{row['name']:{width}}  {bicubic}{network}{gain_text:>12}"
