"""Training of small networks on two photos, for the tests of what training computes and of what it learns."""

from pathlib import Path

import pytest
import skimage
import torch
from PIL import Image

from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures, pack
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.solver import Solver
from srmd.train.kernels import TrainingKernels

PHOTOS = Path(skimage.__file__).parent / "data"


def photos(tmp_path: Path) -> PackedPictures:
    """A pack of two photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        Image.open(PHOTOS / f"{name}.png").convert("RGB").crop((100, 0, 400, 300)).save(folder / f"{name}.png")
    pack(folder, tmp_path / "photos.h5")
    return PackedPictures(tmp_path / "photos.h5")


def small_solver(training: PackedPictures, validation: PackedPictures | None = None, **flags: object) -> Solver:
    """A solver of a small network for x2 on a CPU, ready for its first step; `flags` are those of `TrainConfig`."""
    defaults = {"batch_size": 8, "patch_size": 12, "device": "cpu", "precision": "fp32", "visdom": "off"}
    config = TrainConfig(**defaults | flags)
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(2, config.head, config.conditions, config.batch_norm, features=16, layers=4))
    start = network, torch.from_numpy(pca_matrix()), TrainingKernels()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)  # its benchmark takes seconds
        return Solver(config, training, validation or training, start)
