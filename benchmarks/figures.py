"""Draws two pictures of the documents: img/results.png and img/loss.png.

    python -m benchmarks.figures                         # img/results.png
    python -m benchmarks.figures runs/weights/srmd_x4    # img/loss.png, of the run in this folder

img/results.png shows parts of the photos of `make demo`: LR as it is given, restored without being told anything, HR.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.commands import command_parser, one_line_errors
from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.cli import main
from srmd.cli.demo_page import write_photos
from srmd.cli.demo_steps import COMPRESSED, NOISY, SCALE, Budget, Demo, Photo
from srmd.show.pictures import comparison
from srmd.show.plots import draw_loss
from srmd.train.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
SIZE = 176, 132  # width and height in HR pixels of the part of a photo that is shown
ZOOM = 2  # factor by which it is enlarged
RESTORED = "restored"  # the folder of the results
ROWS = ((NOISY, (136, 40)), (COMPRESSED, (250, 150)))  # with the left and top side of the part


def part(path: Path, corner: tuple[int, int], scale: int = 1) -> np.ndarray:
    """The shown part of a picture file, `scale` times as small as HR, without interpolation."""
    left, top, width, height = (length // scale for length in (*corner, *SIZE))
    picture = Image.open(path).convert("RGB").crop((left, top, left + width, top + height))
    return np.asarray(picture.resize((SIZE[0] * ZOOM, SIZE[1] * ZOOM), Image.Resampling.NEAREST))


def row(demo: Demo, photo: Photo, corner: tuple[int, int]) -> np.ndarray:
    """LR, the result in the demo's folder, and HR side by side."""
    noise = f"noise {photo.noise_level:g}" if photo.quality is None else f"JPEG quality {photo.quality}"
    panels = {
        f"LR: blur of width {photo.kernel.removeprefix('gaussian:')}, {noise}": part(demo.lr(photo), corner, SCALE),
        "restored, nothing told": part(demo.folder / RESTORED / f"{photo.name}.png", corner),
        "original (HR)": part(demo.hr(photo), corner),
    }
    return comparison(panels)


def results(output: Path) -> None:
    """Restores the photos of the demo, and draws a row for each."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), Path(), Budget())
        write_photos(demo)
        if main.main([str(demo.folder / "lr"), f"--output={demo.folder / RESTORED}"]) != 0:
            raise SystemExit(1)
        sheet = np.concatenate([row(demo, *each) for each in ROWS])
    with atomic_write(output) as temporary:
        Image.fromarray(sheet).save(temporary, "PNG", optimize=True)


def loss(run: Path, output: Path) -> None:
    """Draws the loss of a run."""
    rows = RunFolder(run).rows()
    if not rows:
        raise InputError(f"{run}: expected the folder of a run, found no rows in metrics.jsonl")
    draw_loss(rows, output)


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="folder of a run: its loss is drawn instead of the photos")
    options = parser.parse_args()
    with one_line_errors():
        if options.run:
            loss(options.run, ROOT / "img" / "loss.png")
        else:
            results(ROOT / "img" / "results.png")
