"""Helpers of tests: a small network that restores small pictures from `in` to `out`, by the command line."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from default_pca import default_pca
from picture_files import open_picture
from srmd.cli import main
from srmd.jpeg.tables import JpegTables
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.picture import as_floats
from srmd.restore.estimate import Estimate
from srmd.weights.files import Weights, write_weights

BASE = ["--precision=fp32", "--engine=torch", "--device=cpu", "--visdom=off", "--output=out"]


def write_network(
    path: str, scale: int = 2, seed: int = 0, conditions: tuple[str, ...] = ("kernel",), kernel_size: int = 15
) -> None:
    torch.manual_seed(seed)
    network = SRMD(NetworkConfig(scale, features=4, layers=3, conditions=conditions, kernel_size=kernel_size))
    write_weights(Path(path), Weights(network, default_pca(kernel_size)))


def picture(path: str, size: tuple[int, int] = (20, 16), mode: str = "RGB", seed: int = 0, **options: object) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = rng.integers(0, 256, (size[1], size[0], channels), np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, **options)
    return Path(path)


def restore(*flags: str, weights: str | None = "tiny.safetensors", kernel: str = "delta") -> int:
    network = [f"--weights={weights}"] if weights else []
    return main.main(["--mode=test", *BASE, *network, f"--kernel={kernel}", *flags])


def metrics(folder: str = "out") -> dict:
    return json.loads(Path(folder, "metrics.json").read_text())


class Estimator:
    """Stands in for `BlindEstimator`, to test what is done with estimates: it reads them off the first pixel.

    Red 0 is no blur, other values are ten times the width, in HR pixels. Green is the noise level. A blue above 0 makes
    the estimate unsure. `calls` are the arguments of all estimates.
    """

    calls: ClassVar[list[tuple]] = []

    def __init__(self, scale: int):
        self.scale = scale

    def estimate(
        self,
        pixels: NDArray,
        kernel: NDArray | None = None,
        noise_level: float | None = None,
        jpeg: JpegTables | None = None,
    ) -> Estimate:
        Estimator.calls.append((pixels, kernel, noise_level))
        red, green, blue = pixels[0, 0] if pixels.dtype == np.uint8 else np.rint(as_floats(pixels[0, 0]) * 255)
        confidence = 0.1 if blue else 0.9
        known = float(green) if noise_level is None else noise_level
        return Estimate((red / 10, red / 10), 0.0, known, confidence)


def marked(path: str, width: float, noise_level: int, size: tuple[int, int] = (20, 16), blue: int = 0) -> Path:
    """A picture of which `Estimator` reads these values."""
    file = picture(path, size)
    pixels = np.asarray(open_picture(file)).copy()
    pixels[0, 0] = round(10 * width), noise_level, blue
    Image.fromarray(pixels).save(file)
    return file


def files(folder: str = "out") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def contents(folder: str = "out") -> dict[str, tuple[bytes, int]]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "metrics.json"]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def exif_with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif
