"""What a training starts with when other weights are given."""

from pathlib import Path

import pytest
import torch

from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.train.setup import new_setup
from srmd.weights.files import Weights, write_weights


def test_weights_of_a_network_with_another_number_of_features_are_refused(tmp_path: Path):
    path = tmp_path / "narrow.safetensors"
    write_weights(path, Weights(SRMD(NetworkConfig(features=64)), torch.from_numpy(pca_matrix())))
    with pytest.raises(InputError, match=r"weights: expected a network with 128 features, found 64 in .*narrow"):
        new_setup(TrainConfig(weights=path))
