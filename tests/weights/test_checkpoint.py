"""Checkpoints as weights files."""

from dataclasses import asdict
from pathlib import Path

import torch

from default_pca import default_pca
from srmd.model import SRMD, NetworkConfig
from srmd.weights.checkpoint import Checkpoint, save_checkpoint
from srmd.weights.files import read_weights


def test_a_checkpoint_is_read_as_its_moving_average(tmp_path: Path):
    network, ema = (SRMD(NetworkConfig(features=4, layers=3)) for _ in range(2))
    checkpoint = Checkpoint(
        version="0.0.0",
        step=7,
        precision="fp32",
        downsampler="direct",
        winograd=False,
        network_config=asdict(network.config),
        network=network.state_dict(),
        ema=ema.state_dict(),
        optimizer={},
        pca=default_pca(),
        pictures=None,
        own_kernels=None,
    )
    save_checkpoint(tmp_path / "checkpoint-0000007.pt", vars(checkpoint))
    weights = read_weights(tmp_path / "checkpoint-0000007.pt")
    assert not torch.equal(network.convs[1].weight, ema.convs[1].weight)
    assert torch.equal(weights.network.convs[1].weight, ema.convs[1].weight)
    assert torch.equal(weights.pca, checkpoint.pca)
    assert weights.downsampler == "direct"
