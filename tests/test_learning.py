"""A short training of a small network, which learns to use the kernel and the noise level that it is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from picture_files import open_picture
from small_solvers import PHOTOS, photos, small_solver
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.pictures.metrics import psnr
from srmd.restore.restorer import open_restorer
from srmd.solver import Solver
from srmd.train.colours import UNCHANGED_COLOURS


@pytest.fixture
def hr() -> np.ndarray:
    """Part of a photo that the network is not trained on."""
    return np.asarray(open_picture(PHOTOS / "chelsea.png").convert("RGB").crop((120, 80, 220, 180)))


def trained(tmp_path: Path, **options: object) -> Solver:
    """Return a solver after 150 steps."""
    solver = small_solver(photos(tmp_path), steps=150, lr=5e-3, **options)
    for _ in range(150):
        solver.training_step()
    return solver


def test_a_network_learns_to_use_the_kernel_that_it_is_told(tmp_path: Path, hr: np.ndarray):
    restorer = open_restorer(trained(tmp_path, conditions=("kernel",)).weights(), "cpu", "torch", "fp32")
    kernels = ("delta", "gaussian:1.6")
    psnr_of = {}
    for applied in kernels:
        lr = srmd.degrade(hr, applied)
        for assumed in kernels:
            psnr_of[applied, assumed] = psnr(restorer.restore(lr, assumed).astype(float), hr)
    assert psnr_of["gaussian:1.6", "gaussian:1.6"] > psnr_of["gaussian:1.6", "delta"] + 0.3
    assert psnr_of["delta", "delta"] > psnr_of["delta", "gaussian:1.6"] + 0.5


def test_a_network_learns_to_use_the_noise_level_that_it_is_told(tmp_path: Path, hr: np.ndarray):
    restorer = open_restorer(trained(tmp_path).weights(), "cpu", "torch", "fp32")
    psnr_of = {}
    for applied in (0, 40):
        lr = srmd.degrade(hr, "delta", applied)
        for assumed in (0, 40):
            psnr_of[applied, assumed] = psnr(restorer.restore(lr, "delta", assumed).astype(float), hr)
    assert psnr_of[40, 40] > psnr_of[40, 0] + 0.3
    assert psnr_of[0, 0] > psnr_of[0, 40] + 0.5


def test_the_moving_average_is_validated_and_saved(tmp_path: Path):
    solver = small_solver(photos(tmp_path), steps=10)
    solver.training_step()
    with torch.no_grad():
        solver.network.head.weight.zero_()  # SR of this network is flat
        batch = solver.validation_batch
        expected = solver.ema(batch.lr, batch.degradation_map)
    assert expected.std() > 0.1
    torch.testing.assert_close(solver.validation_sr(), expected, atol=1e-5, rtol=0)
    assert torch.equal(solver.weights().network.head.weight, solver.ema.head.weight)


def test_validation_is_on_pictures_that_are_not_trained_on(tmp_path: Path):
    (tmp_path / "colours").mkdir()
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (80, 80), colour).save(tmp_path / "colours" / f"{name}.png")
    pack(tmp_path / "colours", tmp_path / "colours.h5")
    training, validation = PackedPictures(tmp_path / "colours.h5").split()
    solver = small_solver(training, validation)
    solver.batches.colours = UNCHANGED_COLOURS
    means = [batch.hr.mean((0, 2, 3)).tolist() for batch in (solver.batches.draw(1), solver.validation_batch)]
    assert means == [[1, 0, 0], [0, 0, 1]]
