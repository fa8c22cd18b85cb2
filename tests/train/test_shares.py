"""How many samples of a batch are rounded to 8 bits, and how many have no noise."""

from pathlib import Path

import pytest
import torch

from small_solvers import photos
from srmd.config import TrainConfig
from srmd.kernel.pca import pca_matrix
from srmd.train.batches import Batch, Batches

SAMPLES = 300  # a share of one half has a standard deviation of 0.03


def draw(tmp_path: Path, noise_free: bool) -> Batch:
    config = TrainConfig(batch_size=SAMPLES, patch_size=4, noise_free=noise_free)
    return Batches(photos(tmp_path), config, torch.from_numpy(pca_matrix()), torch.device("cpu")).draw(1)


def test_half_of_the_samples_are_rounded_to_8_bits(tmp_path: Path):
    lr = draw(tmp_path, noise_free=True).lr
    off_level = (lr * 255 - (lr * 255).round()).abs().amax((1, 2, 3))
    assert (off_level < 1e-3).float().mean().item() == pytest.approx(1 / 2, abs=0.08)


def test_a_third_of_the_samples_have_no_noise_and_the_others_up_to_75(tmp_path: Path):
    noise_levels = 255 * draw(tmp_path, noise_free=False).degradation_map[:, 15, 0, 0]
    assert (noise_levels == 0).float().mean().item() == pytest.approx(1 / 3, abs=0.08)
    noisy = noise_levels[noise_levels > 0]
    assert noisy.mean().item() == pytest.approx(75 / 2, abs=5)
    assert 70 < noisy.max() <= 75
