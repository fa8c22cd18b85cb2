"""Makes the README's picture of a degradation that varies, and prints what each telling scores.

    python -m benchmarks.variant    # img/variant.png

A disc in the middle of each photo is sharp and clean, its rim soft and noisy. The shipped network is told
the disc's degradation for the whole photo, the rim's, and both where they are.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from srmd.base.files import atomic_write
from srmd.cli import main
from srmd.pictures.photos import builtin_test_pictures
from srmd.show.pictures import comparison

ROOT = Path(__file__).parents[1]
SCALE = 2
SIDE = 144  # HR pixels of the part of each photo,
ZOOM = 2  # enlarged
RADIUS = 48  # HR pixels
PARTS = {"astronaut": (40, 150), "chelsea": (60, 110)}  # top and left, HR pixels
KERNELS = {"disc": "gaussian:0.5", "rim": "gaussian:2.4"}
NOISE_LEVELS = {"disc": 3, "rim": 15}


def write_inputs(folder: Path) -> None:
    """HR pictures, labels and noise map."""
    (folder / "hr").mkdir()
    for name, (top, left) in PARTS.items():
        photo = builtin_test_pictures()[name][top : top + SIDE, left : left + SIDE]
        Image.fromarray(photo).save(folder / "hr" / f"{name}.png")
    row, column = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    outside = row**2 + column**2 > RADIUS**2
    Image.fromarray(outside.astype(np.uint8)).save(folder / "labels.png")
    levels = np.where(outside, NOISE_LEVELS["rim"], NOISE_LEVELS["disc"])
    Image.fromarray(levels.astype(np.uint8)).save(folder / "noise.png")


def told(folder: Path, name: str, assumed: list[str]) -> dict[str, float]:
    """PSNR of Y of each photo, restored by a network that is told what is assumed."""
    output = folder / name
    flags = [f"--test_data={folder / 'hr'}", *(f"--kernel={kernel}" for kernel in KERNELS.values())]
    flags += [f"--regions={folder / 'labels.png'}", "--region_blend=1", f"--noise_map={folder / 'noise.png'}"]
    flags += [f"--weights={ROOT}/weights/srmd_x{SCALE}.safetensors", f"--output={output}", "--save_lr", "--visdom=off"]
    if main.main(["--mode=test", *flags, *assumed]) != 0:
        raise SystemExit(1)
    images = json.loads((output / "metrics.json").read_text())["images"]
    return {image["name"]: image["psnr_y"] for image in images}


def panel(path: Path) -> np.ndarray:
    """A picture enlarged to the panels' size, its pixels as squares."""
    size = (SIDE * ZOOM, SIDE * ZOOM)
    return np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.NEAREST))


def variant(output: Path) -> None:
    """A row for each photo: LR, restored with each telling, HR."""
    assumed = {
        f"told the {part}'s": [f"--assumed_kernel={KERNELS[part]}", f"--assumed_noise_level={NOISE_LEVELS[part]}"]
        for part in KERNELS
    }
    assumed["told both"] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        scores = {label: told(folder, label, flags) for label, flags in assumed.items()}
        rows = []
        for photo in PARTS:
            panels = {"LR": panel(folder / "told both" / "lr" / f"{photo}.png")}
            for label in assumed:
                panels[f"{label}: {scores[label][photo]:.2f} dB"] = panel(folder / label / f"{photo}.png")
            rows.append(comparison(panels | {"HR": panel(folder / "hr" / f"{photo}.png")}))
    with atomic_write(output) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, optimize=True)


if __name__ == "__main__":
    variant(ROOT / "img" / "variant.png")
