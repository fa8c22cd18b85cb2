"""The degradations of the blind restoring benchmark, and the published scores that belong to them."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srmd.degradation import blur, downsample, seeded_noise
from srmd.evaluate.picture import to_array
from srmd.kernel.specs import parse_kernels
from srmd.kernel.window import fit_kernel
from srmd.pictures.picture import quantise

PUBLISHED = Path(__file__).with_name("blind_published.csv")
SCALES = (2, 3, 4)
DATA = {"Set5": 5, "Set14": 14, "B100": 100}  # data sets, and how many pictures each has
BLUR_WINDOW = 21  # side of the kernels, HR pixels, as in DASR's test code
TABLES = ("dasr", "gaussian8", "noise")
# The widths of DASR's table 2. Width 0 at x3 is not in it: it is there for the loss on sharp pictures.
DASR_WIDTHS = {2: (0, 0.6, 1.2, 1.8), 3: (0, 0.8, 1.6, 2.4), 4: (0, 1.2, 2.4, 3.6)}
# Eight widths in equal steps. For x2 IKC's paper has 0.8 as the smallest one, other sources have 0.9.
GAUSSIAN8_RANGES = {2: (0.8, 1.6), 3: (1.35, 2.4), 4: (1.8, 3.2)}
NOISE_LEVELS = (5, 15, 30)
ISOTROPIC_SHARES = (0, 0.3, 0.6, 0.9)  # of the scale: widths of the noisy cells
ANISOTROPIC = {  # kernels of the noisy cells
    2: ("gaussian:2,0.8,30", "gaussian:1.4,0.8,120"),
    3: ("gaussian:2.4,1,30", "gaussian:1.8,1,120"),
    4: ("gaussian:3,1.2,30", "gaussian:2.4,1.4,120"),
}


@dataclass(frozen=True)
class Cell:
    """A degradation, and the table that it belongs to."""

    table: str
    scale: int
    kernel: str  # as --kernel takes it
    noise_level: int = 0

    @property
    def is_isotropic(self) -> bool:
        """Whether the kernel has one width."""
        return "," not in self.kernel

    @property
    def width(self) -> float:
        """The larger width of the kernel, 0 without blur."""
        return float(self.kernel.removeprefix("gaussian:").split(",")[0]) if self.kernel != "delta" else 0.0

    def kernel_array(self) -> NDArray:
        """The kernel, (21, 21)."""
        return fit_kernel(parse_kernels(self.kernel, BLUR_WINDOW)[0], BLUR_WINDOW)


def cells_of(table: str, scale: int) -> list[Cell]:
    """The cells of a table for a scale."""
    if table == "dasr":
        return [Cell(table, scale, isotropic(width)) for width in DASR_WIDTHS[scale]]
    if table == "gaussian8":
        return [Cell(table, scale, isotropic(width)) for width in np.linspace(*GAUSSIAN8_RANGES[scale], 8)]
    kernels = [isotropic(share * scale) for share in ISOTROPIC_SHARES] + list(ANISOTROPIC[scale])
    return [Cell(table, scale, kernel, level) for level in NOISE_LEVELS for kernel in kernels]


def isotropic(width: float) -> str:
    """The specification of an isotropic kernel; width 0 is no blur."""
    return f"gaussian:{round(width, 4):g}" if width else "delta"


def degrade_cell(hr: Tensor, cell: Cell, seed: int = 0) -> NDArray[np.uint8]:
    """HR (1, 3, s·h, s·w), 0 to 1, degraded as in DASR's test code, then noise: LR (h, w, 3), clipped to 8 bits.

    The borders are reflected without repeating the outermost pixel; downsampling is MATLAB's bicubic.
    """
    half = BLUR_WINDOW // 2
    padded = F.pad(hr, [half] * 4, mode="reflect")
    blurred = blur(padded, torch.from_numpy(cell.kernel_array())[None])[..., half:-half, half:-half]
    lr = downsample(blurred, cell.scale)
    if cell.noise_level:
        lr = lr + cell.noise_level / 255 * seeded_noise(seed, hr, cell.scale)
    return quantise(to_array(lr), np.dtype(np.uint8))


def published_scores() -> dict[tuple[str, int, float | None, str], dict[str, float]]:
    """Published PSNR of Y in dB by data; keys: table, scale, width (None in gaussian8) and data."""
    scores: dict[tuple, dict[str, float]] = {}
    for row in _rows_of_csv():
        width = float(row["width"]) if row["width"] else None
        for data in DATA:
            scores.setdefault((row["table"], int(row["scale"]), width, data), {})[row["method"]] = float(row[data])
    return scores


def _rows_of_csv() -> list[dict[str, Any]]:
    lines = [line for line in PUBLISHED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter=";"))
