"""Motion kernels have the properties of kernels and of camera shake."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srmd.kernel.motion import MIN_REACH, motion_kernels

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def random_motion(count: int = 60, size: int = 15, seed: int = 0) -> np.ndarray:
    return motion_kernels(np.random.default_rng(seed), count, size)


@pytest.mark.parametrize("size", [3, 15, 31])
def test_a_motion_kernel_is_a_kernel(size: int):
    kernels = random_motion(size=size)
    assert kernels.shape == (60, size, size)
    assert (kernels >= 0).all()
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-12)


@pytest.mark.parametrize("size", [3, 15, 31])
def test_the_centre_of_mass_of_a_motion_kernel_is_in_the_middle(size: int):
    position = np.arange(size) - size // 2
    kernels = random_motion(size=size)
    assert np.abs(kernels.sum(2) @ position).max() < 1e-9
    assert np.abs(kernels.sum(1) @ position).max() < 1e-9


def test_motion_kernels_depend_on_the_seed():
    np.testing.assert_array_equal(random_motion(5, seed=3), random_motion(5, seed=3))
    assert np.abs(random_motion(5, seed=3) - random_motion(5, seed=4)).max((1, 2)).min() > 0.01


def test_motions_reach_from_a_pixel_to_the_edge_of_the_window():
    rows, columns = (random_motion(400).max(axis) > 0 for axis in (2, 1))
    far = np.abs(np.arange(15) - 7)
    reach = np.maximum((rows * far).max(1), (columns * far).max(1))
    assert reach.min() in (MIN_REACH, MIN_REACH + 1)
    assert reach.max() == 7


def test_a_motion_kernel_is_one_connected_stroke():
    """All pixels above 0 are connected."""
    for kernel in random_motion(40, seed=2):
        lit = {tuple(pixel) for pixel in np.argwhere(kernel > 0)}
        todo = [next(iter(lit))]
        while todo:
            row, column = todo.pop()
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & lit
            lit -= near
            todo += near
        assert not lit


def test_motion_kernels_are_thin_and_have_no_preferred_direction():
    kernels = random_motion(2000, seed=5)
    assert 3 < np.median((kernels > 0.01).sum((1, 2))) < 40
    position = np.arange(15) - 7
    along_rows, along_columns = kernels.sum(2) @ position**2, kernels.sum(1) @ position**2
    both = np.einsum("nrc,r,c->n", kernels, position, position)
    assert abs(along_rows.mean() / along_columns.mean() - 1) < 0.1
    assert abs(both.mean()) < 0.1 * along_rows.mean()


def test_most_motion_kernels_are_not_symmetric():
    """A P of Gaussians, which are symmetric, represents only the symmetric part of a kernel."""
    kernels = random_motion(200)
    odd = np.linalg.norm(kernels - kernels[:, ::-1, ::-1], axis=(1, 2)) / np.linalg.norm(kernels, axis=(1, 2))
    assert np.median(odd) > 0.3


def test_the_command_writes_the_kernels_of_motion_kernels(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "srmd.kernel.motion",
        str(tmp_path / "m.npy"),
        "--count=7",
        "--size=21",
        "--seed=3",
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == f"wrote 7 motion kernels, 21 by 21, to {tmp_path / 'm.npy'}\n"
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), random_motion(7, 21, 3).astype(np.float32))


@pytest.mark.parametrize("wrong", ["m.txt", "m.npy --size=14", "m.npy --count=0", "m.npy --seed=-1", "m.npy --size=1"])
def test_the_command_refuses_invalid_arguments(tmp_path: Path, wrong: str):
    command = [sys.executable, "-m", "srmd.kernel.motion", *wrong.split()]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "expected an .npy file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_reports_in_one_line_that_it_cannot_write(tmp_path: Path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "srmd.kernel.motion", "file/m.npy", "--count=1"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("error: file: expected a folder to write to, found a file")
