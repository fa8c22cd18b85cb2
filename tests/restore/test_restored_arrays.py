"""Restored arrays of floats stay in 0 to 1, where whole numbers are clipped by their type."""

import numpy as np
import pytest
import torch

from srmd.backends.backend import Backend
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.restore.restorer import Restorer
from srmd.weights.files import Weights


@pytest.fixture
def restorer() -> Restorer:
    """An untrained network, which passes pictures through."""
    weights = Weights(SRMD(NetworkConfig(2, features=4, layers=2)).eval(), torch.from_numpy(pca_matrix()))
    return Restorer(weights, Backend("torch", "fp32", "cpu"))


def test_sr_of_floats_is_clipped(restorer: Restorer):
    lr = np.full((12, 12, 3), 1.5, np.float32)
    lr[:, :6] = 0
    sr = restorer.restore(lr, "delta")
    assert 0 <= sr.min() < 0.5
    assert sr.max() == 1


def test_enlarged_transparency_of_floats_is_clipped(restorer: Restorer):
    """Bicubic upscaling overshoots at an edge."""
    lr = np.full((12, 12, 4), 0.5, np.float32)
    lr[..., 3] = np.arange(12) >= 6
    alpha = restorer.restore(lr, "delta")[..., 3]
    assert alpha.shape == (24, 24)
    assert alpha.min() == 0
    assert alpha.max() == 1
