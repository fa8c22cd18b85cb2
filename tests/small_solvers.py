"""Helpers of tests: solvers that train small networks on two photos."""

from pathlib import Path

import pytest
import skimage
import torch

from default_pca import default_pca
from picture_files import open_picture
from srmd.config import TrainConfig
from srmd.model import SRMD, NetworkConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.solver import Solver
from srmd.train.kernels import TrainingKernels
from srmd.train.setup import TrainingSetup

PHOTOS = Path(skimage.__file__).parent / "data"


def photos(tmp_path: Path) -> PackedPictures:
    """Return a pack of two photos."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        open_picture(PHOTOS / f"{name}.png").convert("RGB").crop((100, 0, 400, 300)).save(folder / f"{name}.png")
    pack(folder, tmp_path / "photos.h5")
    return PackedPictures(tmp_path / "photos.h5")


def small_solver(training: PackedPictures, validation: PackedPictures | None = None, **options: object) -> Solver:
    """Return a solver of a small network for x2, on a CPU by default; `options` are fields of `TrainConfig`."""
    defaults = {"batch_size": 8, "patch_size": 12, "device": "cpu", "precision": "fp32", "visdom": "off"}
    config = TrainConfig(**defaults | options)
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(2, config.head, config.conditions, config.batch_norm, features=16, layers=4))
    setup = TrainingSetup(network, default_pca(), TrainingKernels())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)  # its benchmark takes seconds
        return Solver(config, training, validation or training, setup)
