"""The Python lines of docs/export.md restore a picture as this package does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

import srmd
from documents import blocks
from srmd.cli import main

pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-engines.txt)")
COMMAND = ["--mode=export", "--precision=fp32"]  # the first command of the page


def test_the_lines_restore_a_picture_with_onnxruntime_and_numpy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(COMMAND) == 0
    picture = skimage.data.astronaut()[40:80, 200:248]
    np.save("photo.npy", picture)
    (snippet,) = (block.text for block in blocks("docs/export.md") if block.language == "python")
    assert {line.split()[1] for line in snippet.splitlines() if line.startswith("import ")} == {
        *("json", "numpy", "onnxruntime")
    }
    subprocess.run([sys.executable, "-c", snippet], check=True, timeout=120)
    restorer = srmd.load("srmd_x2", device="cpu", engine="torch", precision="fp32")
    expected = restorer.restore(picture, "gaussian:1.3", 5)
    difference = np.abs(np.load("restored.npy").astype(int) - expected)
    assert difference.max() <= 1  # where a value lies between two levels
    assert difference.mean() < 0.001
