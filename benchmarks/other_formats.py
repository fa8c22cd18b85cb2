"""Scores LR pictures stored as WebP and AVIF, with JPEG beside them, at x2: a table in Markdown.

    python -m benchmarks.other_formats Set5 --page=docs/jpeg.md    # writes it into the page, too
    python -m benchmarks.other_formats PICTURES --traces           # stores the pictures themselves, and looks for JPEG

The middles of HR pictures are blurred, downsampled, rounded to 8 bits and stored by Pillow. PSNR of Y in dB, means over
the pictures. In brackets: the noise level that is best on average, or the mean of those that the tool estimates.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from numpy.typing import NDArray
from PIL import Image

from benchmarks.commands import add_page, command_parser, one_line_errors
from benchmarks.crops import middle, modcrop_picture
from benchmarks.jpeg_cells import KERNELS, QUALITIES
from benchmarks.pages import replace_part
from benchmarks.plans import ROOT, shipped
from srmd.cli.values import existing
from srmd.degradation import degrade_picture
from srmd.evaluate.resize import resize_picture
from srmd.jpeg.detect import find_jpeg
from srmd.pictures.files import read_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.metrics import score
from srmd.restore.restorer import load

SCALE, SIDE = 2, 96  # the side of the middle of a picture, LR pixels
FORMATS = ("WebP", "AVIF", "JPEG")
NOISE_LEVELS = (0, 5, 10, 15)  # assumed
FLAGS = ("--kernel=auto", "--jpeg=50")  # of the tool, instead of the true kernel
COLUMNS = ("bits per pixel", "bicubic", "noise level 0", "best level", "told the kernel", "told nothing", "told JPEG")


def store(folder: Path, name: str, quality: int, pictures: list[NDArray]) -> list[Path]:
    """Stores pictures (h, w, 3), uint8, in one of FORMATS; returns their files."""
    paths = [folder / f"{name}_{quality}_{number}.{name}" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path, quality=quality)
    return paths


def table(hr: list[NDArray]) -> Iterator[str]:
    """The lines of a Markdown table for HR pictures (H, W, 3), and in how many files the tool recognised a JPEG."""
    recognised: list[bool] = []
    yield f"| kernel | format, quality | {' | '.join(COLUMNS)} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for kernel in KERNELS:
        with TemporaryDirectory() as lr, TemporaryDirectory() as sr:
            pictures = [degrade_picture(picture, kernel, scale=SCALE) for picture in hr]
            files = {each: store(Path(lr), *each, pictures) for each in product(FORMATS, QUALITIES)}
            runs = [run_tool(Path(lr), Path(sr, flag), flag) for flag in (f"--kernel={kernel}", *FLAGS)]
            recognised += [is_jpeg for name, (_, _, is_jpeg) in runs[0].items() if not name.startswith("JPEG")]
            for (name, quality), paths in files.items():
                cells = _assuming_noise(hr, kernel, paths, () if name == "JPEG" else NOISE_LEVELS)
                for run in runs:
                    restored, levels, _ = zip(*(run[path.stem] for path in paths), strict=True)
                    cells.append(f"{_psnr(restored, hr):.2f} ({statistics.mean(levels):.1f})")
                yield f"| {kernel} | {name} {quality} | {' | '.join(cells)} |"
    yield f"\nA JPEG was recognised in {sum(recognised)} of the {len(recognised)} files of WebP and AVIF."


def run_tool(lr: Path, sr: Path, flag: str) -> dict[str, tuple[NDArray, float, bool]]:
    """By name: restored pictures of a folder, the noise levels estimated, and whether a JPEG was told or recognised."""
    flags = [f"--input={lr}", f"--output={sr}", flag, f"--scale_factor={SCALE}", "--precision=fp32"]
    subprocess.run([sys.executable, "-m", "srmd", *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    entries = {each["name"]: each for each in json.loads((sr / "metrics.json").read_text(encoding="utf-8"))["images"]}
    pixels = {name: read_picture(sr / entry["file"]).pixels for name, entry in entries.items()}
    return {name: (pixels[name], each["estimated"]["noise_level"], "jpeg" in each) for name, each in entries.items()}


def _assuming_noise(hr: list[NDArray], kernel: str, files: list[Path], levels: tuple[int, ...]) -> list[str]:
    """The first four cells of COLUMNS, the last two of them empty if there are no noise levels."""
    lr, network = [read_picture(path).pixels for path in files], load(str(shipped("srmd_x2")), precision="fp32")
    bits = [8 * path.stat().st_size / picture[..., 0].size for path, picture in zip(files, lr, strict=True)]
    bicubic = [resize_picture(low, high.shape[:2], low.dtype) for low, high in zip(lr, hr, strict=True)]
    cells = [f"{statistics.mean(bits):.2f}", f"{_psnr(bicubic, hr):.2f}"]
    psnr = {level: _psnr([network.restore(low, kernel, level) for low in lr], hr) for level in levels}
    best = max(psnr, key=psnr.get, default=None)
    return [*cells, f"{psnr[0]:.2f}", f"{psnr[best]:.2f} ({best})"] if psnr else [*cells, "–", "–"]


def _psnr(sr: Iterable[NDArray], hr: list[NDArray]) -> float:
    return statistics.mean(score(each / 255, true / 255, SCALE)["psnr_y"] for each, true in zip(sr, hr, strict=True))


def traces(pictures: list[NDArray]) -> Iterator[str]:
    """In how many pictures a JPEG is recognised when they are stored as WebP and AVIF."""
    for name, quality in product(FORMATS[:2], QUALITIES):
        with TemporaryDirectory() as folder:
            stored = [read_picture(path).pixels for path in store(Path(folder), name, quality, pictures)]
        yield f"{name} {quality}: {sum(find_jpeg(picture) is not None for picture in stored)} of {len(stored)}"


@one_line_errors()
def main() -> None:
    """Prints the table or the counts, and writes the table to the page."""
    parser = command_parser(__doc__)
    parser.add_argument("data", type=existing, nargs="+", help="HR pictures, or folders of them")
    parser.add_argument("--traces", action="store_true", help="count the pictures in which a JPEG is recognised")
    add_page(parser, "other formats")
    options = parser.parse_args()
    paths = [path for each in options.data for path in (list_pictures(each) if each.is_dir() else [each])]
    pictures = [read_picture(path).pixels for path in paths]
    if not options.traces:
        pictures = [modcrop_picture(middle(picture, SCALE * SIDE), SCALE) for picture in pictures]
    lines = []
    for line in traces(pictures) if options.traces else table(pictures):
        print(line, flush=True)
        lines.append(line)
    if options.page and not options.traces:
        replace_part(options.page, "other formats", "\n".join(lines))


if __name__ == "__main__":
    main()
