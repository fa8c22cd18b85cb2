"""Helpers of tests: commands that restore pictures, each in another process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import srmd
from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "main.py"), "--weights=tiny.safetensors", "--kernel=delta", "--device=cpu"]
COMMAND += ["--visdom=off", "--engine=torch", "--precision=fp32"]


def run(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *flags], input=stdin, capture_output=True, check=False, timeout=600)


def run_auto(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command with the networks of the package, which estimates the kernel and the noise level."""
    command = [*COMMAND[:2], *COMMAND[4:], *flags]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=600)


def pictures(count: int, folder: str = "in", size: tuple[int, int] = (20, 16)) -> None:
    Path(folder).mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(f"{folder}/{number}.png")


def degraded(noise_level: int) -> Image.Image:
    photo = builtin_test_pictures()["chelsea"][20:276, 60:316]
    return Image.fromarray(srmd.degrade(photo, "gaussian:2", noise_level, scale=2, seed=0))
