"""Helpers of tests of the Python interface: a small picture, and a small network that restores it."""

from pathlib import Path
from typing import Any

import torch

import srmd
from default_pca import default_pca
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.photos import builtin_test_pictures
from srmd.weights.files import Weights, write_weights

RGB = builtin_test_pictures()["chelsea"][100:124, 150:170]  # (24, 20, 3)


def load_small(folder: Path, **shape: Any) -> srmd.Restorer:
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(**{"features": 8} | shape))
    write_weights(folder / "small.safetensors", Weights(network, default_pca()))
    return srmd.load(folder / "small.safetensors", device="cpu", precision="fp32", engine="torch")
