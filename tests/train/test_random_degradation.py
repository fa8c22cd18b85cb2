"""The random kernels and noise levels of training."""

import numpy as np
import pytest
import torch

from example_degradations import SCALES, assert_close
from srmd.kernel.families import random_kernels
from srmd.train.batches import random_degradation


def test_noise_levels_lie_in_0_to_75_and_one_in_three_is_0():
    levels = random_degradation(np.random.default_rng(0), 3000, 2, ("kernel", "noise")).noise_levels
    assert levels.shape == (3000, 1)
    assert 0.3 < (levels == 0).double().mean() < 0.37
    assert 74 < levels.max() <= 75
    assert abs(levels[levels > 0].mean() - 37.5) < 1.5
    assert levels[levels > 0].min() < 1


def test_degradations_for_a_noise_free_network_have_no_noise():
    assert not random_degradation(np.random.default_rng(0), 100, 2, ("kernel",)).noise_levels.any()


@pytest.mark.parametrize("scale", SCALES)
def test_kernels_are_those_of_random_kernels_and_depend_on_the_seed(scale):
    first, again, other = (
        random_degradation(np.random.default_rng(s), 16, scale, ("kernel", "noise")) for s in (3, 3, 4)
    )
    assert first.kernels.shape == (16, 1, 15, 15)
    assert first.kernels.dtype == first.noise_levels.dtype == torch.float32
    assert torch.equal(first.kernels, again.kernels)
    assert torch.equal(first.noise_levels, again.noise_levels)
    assert not torch.equal(first.kernels, other.kernels)
    assert_close(first.kernels[:, 0], random_kernels(np.random.default_rng(3), 16, scale), 1e-7)
