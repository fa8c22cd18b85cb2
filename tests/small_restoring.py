"""Helpers of tests: a small network that restores small pictures from `in` to `out`, by the command line."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from srmd.cli import main
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, write_weights

BASE = ["--precision=fp32", "--engine=torch", "--device=cpu", "--visdom=off", "--output=out"]


def write_network(path: str, scale: int = 2, seed: int = 0) -> None:
    torch.manual_seed(seed)
    network = SRMD(NetworkConfig(scale, features=4, layers=3, conditions=("kernel",)))
    write_weights(Path(path), Weights(network, torch.from_numpy(pca_matrix())))


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


def metrics() -> dict:
    return json.loads(Path("out/metrics.json").read_text())


def files(folder: str = "out") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def contents(folder: str = "out") -> dict[str, tuple[bytes, int]]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "metrics.json"]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def exif_with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif
