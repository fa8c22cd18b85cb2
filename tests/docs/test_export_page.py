"""The Python lines of docs/export.md restore a picture as this package does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import srmd
from documents import ROOT, blocks
from srmd.cli import main

pytest.importorskip("onnx", reason="onnx is not installed (requirements-engines.txt)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-engines.txt)")
COMMAND = ["--mode=export", "--precision=fp32"]  # the first command of the page
FILE = "models/srmd_x2_fp32_op20.onnx"  # that it writes


@pytest.fixture
def snippets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Python blocks of the page; runs a test in a folder with photo.npy."""
    monkeypatch.chdir(tmp_path)
    np.save("photo.npy", skimage.data.astronaut()[40:80, 200:248])
    return [block.text for block in blocks("docs/export.md") if block.language == "python"]


def check_restored(snippet: str, expected: np.ndarray) -> None:
    subprocess.run([sys.executable, "-c", snippet], check=True, timeout=600)
    difference = np.abs(np.load("restored.npy").astype(int) - expected)
    assert difference.max() <= 1  # where a value lies between two levels
    assert difference.mean() < 0.001


def load(name: str) -> srmd.Restorer:
    return srmd.load(name, device="cpu", engine="torch", precision="fp32")


def test_the_lines_restore_a_picture_with_onnxruntime_and_numpy_alone(snippets: list[str]):
    assert main.main(COMMAND) == 0
    assert {line.split()[1] for line in snippets[0].splitlines() if line.startswith("import ")} == {
        *("json", "numpy", "onnxruntime")
    }
    check_restored(snippets[0], load("srmd_x2").restore(np.load("photo.npy"), "gaussian:1.3", 5))


@pytest.mark.parametrize(
    "sampling", ["4:2:2", *(pytest.param(each, marks=pytest.mark.slow) for each in ("4:4:4", "4:2:0"))]
)
def test_the_lines_on_jpeg_tell_the_network_what_the_file_says(snippets: list[str], sampling: str):
    Image.fromarray(np.load("photo.npy")).save("photo.jpg", quality=40, subsampling=sampling)
    with Image.open("photo.jpg") as photo:
        expected = load("srmdj_x2").restore(photo, "gaussian:1.3", 5)
        np.save("photo.npy", np.asarray(photo))
    assert main.main([*COMMAND, f"--weights={ROOT}/weights/srmdj_x2.safetensors", f"--output={FILE}"]) == 0
    first, jpeg = snippets
    told, restored = first.split("lr = np.load")
    check_restored(f"{told}{jpeg}lr = np.load{restored}", np.asarray(expected))
