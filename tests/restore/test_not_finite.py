"""A network whose result is NaN or infinite writes no picture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foreign_networks import small_network
from picture_files import save_smooth_picture
from srmd.cli.main import main
from srmd.kernel.pca import read_pca
from srmd.model import NetworkConfig
from srmd.restore.restorer import load
from srmd.weights.files import Weights, write_weights


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    """Weights that are finite, but whose results overflow."""
    network = small_network(NetworkConfig(scale=2, features=8, layers=4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e30)
    path = tmp_path / "large.safetensors"
    write_weights(path, Weights(network, torch.from_numpy(read_pca(Path("kernels/pca.mat")))))
    return path


def test_an_overflow_is_an_error_and_no_picture_is_written(
    overflowing: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    save_smooth_picture(tmp_path / "a.png", np.random.default_rng(0), (16, 16))
    flags = ["--kernel=delta", "--noise_level=0", f"--weights={overflowing}", "--device=cpu", "--engine=torch"]
    assert main([f"{tmp_path}/a.png", *flags, f"--output={tmp_path}/out"]) == 1
    error = capsys.readouterr().err
    assert error == ("the network's result is NaN or infinite: its weights are too large for --precision=fp32\n")
    assert not list(tmp_path.glob("out/*.png"))


def test_the_library_raises_it_too(overflowing: Path):
    with pytest.raises(RuntimeError, match="NaN or infinite"):
        load(overflowing, device="cpu", engine="torch").restore(np.zeros((8, 8, 3), np.uint8), kernel="delta")
