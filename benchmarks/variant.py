"""Draws img/variant.webp: photos with a spatially variant degradation, restored with three assumptions.

    python -m benchmarks.variant

A disc in the middle of each photo has little blur and noise, its surroundings have much of both. The shipped network is
told the disc's degradation for the whole photo, then the degradation of the surroundings, and then both by maps.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.commands import command_parser
from srmd.base.files import atomic_write
from srmd.cli import main
from srmd.pictures.photos import builtin_test_pictures
from srmd.show.pictures import comparison

ROOT = Path(__file__).parents[1]
SCALE = 2
SIDE = 144  # HR pixels, of the part of a photo that is used
ZOOM = 2  # factor by which it is enlarged
RADIUS = 48  # HR pixels, of the disc
PARTS = {"astronaut": (40, 150), "chelsea": (60, 110)}  # top left corner of the part (row, column)
KERNELS = {"disc": "gaussian:0.5", "surroundings": "gaussian:2.4"}
NOISE_LEVELS = {"disc": 3, "surroundings": 15}
BOTH = "both assumed"


def write_inputs(folder: Path) -> None:
    """Writes HR pictures, region labels and noise map."""
    (folder / "hr").mkdir()
    for name, (top, left) in PARTS.items():
        photo = builtin_test_pictures()[name][top : top + SIDE, left : left + SIDE]
        Image.fromarray(photo).save(folder / "hr" / f"{name}.png")
    row, column = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    outside = row**2 + column**2 > RADIUS**2
    Image.fromarray(outside.astype(np.uint8)).save(folder / "labels.png")
    levels = np.where(outside, NOISE_LEVELS["surroundings"], NOISE_LEVELS["disc"])
    Image.fromarray(levels.astype(np.uint8)).save(folder / "noise.png")


def psnr_by_photo(folder: Path, label: str, assumed: list[str]) -> dict[str, float]:
    """Tests the network with the flags of an assumption; returns PSNR of Y in dB of each photo."""
    output = folder / label
    flags = [f"--test_data={folder / 'hr'}", *(f"--kernel={kernel}" for kernel in KERNELS.values())]
    flags += [f"--regions={folder / 'labels.png'}", "--region_blend=1", f"--noise_map={folder / 'noise.png'}"]
    flags += [f"--weights={ROOT}/weights/srmd_x{SCALE}.safetensors", f"--output={output}", "--save_lr", "--visdom=off"]
    if main.main(["--mode=test", *flags, *assumed]) != 0:
        raise SystemExit(1)
    images = json.loads((output / "metrics.json").read_text())["images"]
    return {image["name"]: image["psnr_y"] for image in images}


def panel(path: Path) -> np.ndarray:
    """A picture file enlarged to (SIDE·ZOOM, SIDE·ZOOM, 3) uint8 without interpolation."""
    size = (SIDE * ZOOM, SIDE * ZOOM)
    return np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.NEAREST))


def draw(output: Path) -> None:
    """Draws a row for each photo: LR, SR with each assumption, HR."""
    assumptions = {
        f"{part} assumed": [f"--assumed_kernel={KERNELS[part]}", f"--assumed_noise_level={NOISE_LEVELS[part]}"]
        for part in KERNELS
    }
    assumptions[BOTH] = []  # the default: what is applied
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        scores = {label: psnr_by_photo(folder, label, flags) for label, flags in assumptions.items()}
        rows = []
        for photo in PARTS:
            panels = {"LR": panel(folder / BOTH / "lr" / f"{photo}.png")}
            for label in assumptions:
                panels[f"{label}: {scores[label][photo]:.2f} dB"] = panel(folder / label / f"{photo}.png")
            rows.append(comparison(panels | {"HR": panel(folder / "hr" / f"{photo}.png")}))
    with atomic_write(output) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, "WEBP", lossless=True, method=6)


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    draw(ROOT / "img" / "variant.webp")
