"""Makes the pictures of the README.

    python -m benchmarks.figures runs/weights/srmd_x2    # the run that img/loss.png shows

img/results.png is the shipped SRMDNF x2's.

Each row shows a part of a held-out built-in photo: LR, SR, HR.
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
SIDE = 120  # HR pixels of the part that is shown,
ZOOM = 3  # enlarged
PARTS = {"astronaut": (60, 160), "chelsea": (70, 100), "coffee": (120, 200)}  # top and left, HR pixels


def part(path: Path, name: str, scale: int = 1) -> np.ndarray:
    """The shown part of a picture of 1/scale of HR's size, (SIDE·ZOOM, SIDE·ZOOM, 3)."""
    top, left = (place // scale for place in PARTS[name])
    side = SIDE // scale
    picture = Image.open(path).convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST))


def results(output: Path) -> None:
    """LR, SR and HR of each photo in columns."""
    with tempfile.TemporaryDirectory() as folder:
        test = ["--mode=test", f"--kernel={KERNEL}", "--save_lr", "--visdom=off", f"--output={folder}"]
        if main.main(test) != 0:
            raise SystemExit(1)
        rows = []
        for name, hr in builtin_test_pictures().items():
            hr_path = Path(folder, f"{name}_hr.png")
            Image.fromarray(hr).save(hr_path)
            columns = {
                "LR": part(Path(folder, "lr", f"{name}.png"), name, 2),
                "SR": part(Path(folder, f"{name}.png"), name),
            }
            rows.append(comparison(columns | {"HR": part(hr_path, name)}))
    with atomic_write(output) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, optimize=True)


if __name__ == "__main__":
    rows = RunFolder(Path(sys.argv[1])).rows()
    if not rows:
        raise SystemExit(f"{sys.argv[1]}: expected a run, found no metrics.jsonl with rows")
    results(ROOT / "img" / "results.png")
    draw_loss(rows, ROOT / "img" / "loss.png")
