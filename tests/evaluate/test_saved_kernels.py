"""Estimated kernels that are saved by `--save_kernel`."""

from pathlib import Path

import numpy as np
import pytest

from estimated_restoring import NOISY, auto, use_small_package
from picture_files import open_picture
from small_restoring import marked
from srmd.kernel.families import gaussian
from srmd.kernel.files import read_kernels


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_small_package(tmp_path, monkeypatch)


def test_the_kernel_of_one_picture_is_saved_as_a_file_or_in_a_folder():
    marked("in/a.png", 1.4, 6)
    for path in ("k.mat", "kernels", "drawn/k.png"):
        assert auto("--input", "in", "--overwrite", f"--save_kernel={path}") == 0
    for path in ("k.mat", "kernels/a.mat"):
        (kernel,) = read_kernels(Path(path))
        np.testing.assert_allclose(kernel, gaussian(1.4), atol=1e-12)
    assert open_picture("drawn/k.png").size[0] >= 240


def test_the_kernels_of_skipped_pictures_are_saved_too(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    marked("in/b.png", 0, 0)
    assert auto("--input", "in") == 0
    assert auto("--input", "in", "--save_kernel=again") == 0
    assert "skipped 2" in capsys.readouterr().out
    assert auto("--input", "in", "--overwrite", "--save_kernel=made") == 0
    for name in "ab":
        again, made = (read_kernels(Path(f"{folder}/{name}.mat"))[0] for folder in ("again", "made"))
        np.testing.assert_array_equal(again, made)


def test_the_kernels_of_several_pictures_are_saved_in_a_folder(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    marked("in/sub/a.png", 0.8, 0)
    marked("in/b.png", 2, 0)
    marked("in/b.bmp", 2.1, 0)
    flags = ["--input", "in", "--recursive", "--format=keep"]
    assert auto(*flags, "--save_kernel=k.mat") == 2
    assert capsys.readouterr().err.startswith("--save_kernel: expected a folder for the kernels of 4 pictures, found")
    assert not Path("out").exists()
    assert auto(*flags, "--save_kernel=kernels") == 0
    widths = {"a": 1.4, "sub/a": 0.8, "b.png": 2, "b.bmp": 2.1}
    saved = {path.relative_to("kernels").as_posix() for path in Path("kernels").rglob("*.mat")}
    assert saved == {f"{name}.mat" for name in widths}
    for name, width in widths.items():
        np.testing.assert_allclose(read_kernels(Path(f"kernels/{name}.mat"))[0], gaussian(width), atol=1e-12)


def test_a_saved_kernel_does_not_overwrite_an_input(capsys: pytest.CaptureFixture):
    marked("in/srmd_x2.png", 1.4, 0)
    Path("shipped/weights/srmd_x2.mat").write_bytes(Path(NOISY).read_bytes())
    flags = ["--input", "in", "--weights=shipped/weights/srmd_x2.mat", "--save_kernel=shipped/weights"]
    assert auto(*flags) == 2
    assert "--save_kernel: shipped/weights/srmd_x2.mat would overwrite an input" in capsys.readouterr().err
