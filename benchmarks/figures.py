"""Draws two pictures of the documents: img/results.png and img/loss.png.

    python -m benchmarks.figures                                # img/results.png, from the last `make demo`
    python -m benchmarks.figures --run=runs/weights/srmd_x2     # also img/loss.png, from a training

img/results.png shows parts of the demo's photos: LR as it was given, restored without being told anything, and HR.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from srmd.base.files import atomic_write
from srmd.cli.demo_steps import COMPRESSED, NOISY, SCALE, Budget, Demo, Photo
from srmd.show.pictures import comparison
from srmd.show.plots import draw_loss
from srmd.train.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
SIZE = 176, 132  # width and height in HR pixels of the part of a photo that is shown
ZOOM = 2  # factor by which it is enlarged
ROWS = ((NOISY, "auto", (136, 40)), (COMPRESSED, "jpeg", (250, 150)))  # with the part's left and top side


def part(path: Path, corner: tuple[int, int], scale: int = 1) -> np.ndarray:
    """The shown part of a picture file, `scale` times as small as HR, without interpolation."""
    left, top, width, height = (length // scale for length in (*corner, *SIZE))
    picture = Image.open(path).convert("RGB").crop((left, top, left + width, top + height))
    return np.asarray(picture.resize((SIZE[0] * ZOOM, SIZE[1] * ZOOM), Image.Resampling.NEAREST))


def row(demo: Demo, photo: Photo, result: str, corner: tuple[int, int]) -> np.ndarray:
    """LR, the result that is in the folder `result`, and HR side by side."""
    noise = f"noise {photo.noise_level:g}" if photo.quality is None else f"JPEG quality {photo.quality}"
    panels = {
        f"LR: blur of width {photo.kernel.removeprefix('gaussian:')}, {noise}": part(demo.lr(photo), corner, SCALE),
        "restored, nothing told": part(demo.folder / result / f"{photo.name}.png", corner),
        "original (HR)": part(demo.hr(photo), corner),
    }
    return comparison(panels)


def results(folder: Path, output: Path) -> None:
    """Draws a row for each photo of a demo's folder."""
    demo = Demo(folder, Path(), Budget())
    sheet = np.concatenate([row(demo, *each) for each in ROWS])
    with atomic_write(output) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG", optimize=True)


def main() -> None:
    """Draws the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of the run whose loss is plotted")
    options = parser.parse_args()
    demos = sorted(Path("results").glob("demo_*/"))  # their names contain the time
    if not demos:
        raise SystemExit("results: expected the folder of a demo, found none; `make demo` makes one")
    results(demos[-1], ROOT / "img" / "results.png")
    if options.run:
        rows = RunFolder(options.run).rows()
        if not rows:
            raise SystemExit(f"{options.run}: expected the folder of a run, found no rows in metrics.jsonl")
        draw_loss(rows, ROOT / "img" / "loss.png")


if __name__ == "__main__":
    main()
