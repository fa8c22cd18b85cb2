"""Fixtures of the command line's tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder_with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a folder with kernels, maps, pictures, and files that are none of these."""
    monkeypatch.chdir(tmp_path)
    np.save("two_kernels.npy", np.ones((2, 15, 15)))
    np.save("one.npy", np.ones((4, 4)))
    Path("far.txt").write_text("1 0 0 0 0 0 -0.9\n")  # its centre of mass lies far outside
    Path("text.txt").write_text("text")
    Path("folder.png").mkdir()
    Path("file").write_text("text")
    Path("text.mat").write_text("text")
    Image.fromarray(np.eye(20, dtype=np.uint8)).save("labels.png")
    Image.effect_mandelbrot((20, 20), (-2, -1, 1, 1), 20).save("fractal.png")
    Image.new("RGB", (20, 20), "red").save("red.png")
    np.save("noise.npy", 20 * np.eye(20))
    np.save("loud.npy", 400 * np.eye(20))
    Path("empty").mkdir()
    Image.new("RGB", (20, 20), "red").save("-dash.png")
    Path("folder.h5").mkdir()
    Path("weights.safetensors").write_text("no weights")
