"""Tables of scores as text."""

import numpy as np

TRUTH_HEADER = "   told the truth PSNR / SSIM   loss [dB]"


def mean_row(rows: list[dict]) -> dict:
    """A row named `mean` with the mean of each number over the rows."""
    names = [name for name, value in rows[0].items() if isinstance(value, int | float)]
    return {"name": "mean"} | {name: float(np.mean([row[name] for row in rows])) for name in names}


def table(rows: list[dict]) -> str:
    """A line for each picture and one for the mean: PSNR and SSIM of Y.

    If the network was told an estimate, those of the network told the truth follow.
    """
    rows = [*rows, mean_row(rows)]
    width = max(len(row["name"]) for row in rows)
    header = f"{'':{width}}  bicubic PSNR / SSIM   network PSNR / SSIM   gain [dB]"
    if "truth_psnr_y" in rows[0]:
        header += TRUTH_HEADER
    return "\n".join([header, *(_table_row(row, width) for row in rows)])


def _table_row(row: dict, width: int) -> str:
    bicubic = f"{row['bicubic_psnr_y']:12.2f} / {row['bicubic_ssim_y']:.4f}"
    network = f"{row['psnr_y']:13.2f} / {row['ssim_y']:.4f}"
    line = f"{row['name']:{width}}  {bicubic}{network}{_difference(row, 'psnr_y', 'bicubic_psnr_y'):>12}"
    if "truth_psnr_y" in row:
        truth = f"{row['truth_psnr_y']:20.2f} / {row['truth_ssim_y']:.4f}"
        line += f"{truth}{_difference(row, 'truth_psnr_y', 'psnr_y'):>12}"
    return line


def _difference(row: dict, first: str, second: str) -> str:
    difference = row[first] - row[second]
    return "–" if np.isnan(difference) else f"{difference:z.2f}"  # NaN where both PSNRs are infinite; z: no -0.00
