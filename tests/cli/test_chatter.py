"""The command prints one line for a broken picture, and not what libtiff and other compiled libraries print."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

COMMAND = [sys.executable, "-m", "srmd"]


def damaged_tiff(path: Path) -> None:
    """A TIFF whose compressed pixels are damaged."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[200:400] = b"\xff" * 200
    path.write_bytes(content)


def test_a_broken_tiff_is_one_line(tmp_path: Path):
    damaged_tiff(tmp_path / "a.tiff")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    prepare = [*COMMAND, "--mode=prepare", f"--train_data={tmp_path}", f"--output={tmp_path}/a.h5"]
    plain = subprocess.run(prepare, capture_output=True, text=True, env=environment)
    debug = subprocess.run([*prepare, "--debug"], capture_output=True, text=True, env=environment)
    lines = [line for line in plain.stderr.splitlines() if "left out" not in line]
    assert plain.returncode == 2
    assert lines == ["--train_data: expected at least one picture that can be read, found 1 broken"]
    assert "tempfile.tif" in debug.stderr  # libtiff has printed something
