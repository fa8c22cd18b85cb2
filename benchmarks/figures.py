"""Draws two pictures of the documents: img/results.png and img/loss.png.

    python -m benchmarks.figures runs/weights/srmd_x2    # RUN: the folder of the run whose loss is plotted

img/results.png shows parts of the held-out built-in photos in rows of LR, SR and HR, restored by the shipped SRMDNF x2.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from srmd.base.files import atomic_write
from srmd.cli import main
from srmd.pictures.photos import builtin_test_pictures
from srmd.show.pictures import comparison
from srmd.show.plots import draw_loss
from srmd.train.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
KERNEL = "kernels/isotropic_1.3.mat"
SIDE = 120  # HR pixels, of the part of a photo that is shown
ZOOM = 3  # factor by which it is enlarged
PARTS = {"astronaut": (60, 160), "chelsea": (70, 100), "coffee": (120, 200)}  # its top left corner (row, column)


def part(path: Path, name: str, scale: int = 1) -> np.ndarray:
    """The shown part of a picture file, `scale` times as small as HR, as (SIDE·ZOOM, SIDE·ZOOM, 3) uint8."""
    top, left = (position // scale for position in PARTS[name])
    side = SIDE // scale
    picture = Image.open(path).convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST))


def results(output: Path) -> None:
    """Draws a row of LR, SR and HR for each photo."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--mode=test", f"--kernel={KERNEL}", "--save_lr", "--visdom=off", f"--output={folder}"]
        if main.main(flags) != 0:
            raise SystemExit(1)
        rows = []
        for name, hr in builtin_test_pictures().items():
            hr_path = Path(folder, f"{name}_hr.png")
            Image.fromarray(hr).save(hr_path)
            panels = {
                "LR": part(Path(folder, "lr", f"{name}.png"), name, scale=2),
                "SR": part(Path(folder, f"{name}.png"), name),
                "HR": part(hr_path, name),
            }
            rows.append(comparison(panels))
    with atomic_write(output) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, optimize=True)


if __name__ == "__main__":
    rows = RunFolder(Path(sys.argv[1])).rows()
    if not rows:
        raise SystemExit(f"{sys.argv[1]}: expected the folder of a run, found no rows in metrics.jsonl")
    results(ROOT / "img" / "results.png")
    draw_loss(rows, ROOT / "img" / "loss.png")
