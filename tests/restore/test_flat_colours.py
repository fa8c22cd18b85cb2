"""Each shipped network that is not told of JPEG computes flat areas in their colour, before any rule for them."""

import itertools

import pytest
import torch

from srmd.degradation import Degradation
from srmd.kernel.specs import to_kernel
from srmd.restore.restorer import Restorer, load
from srmd.weights.shipped import network_files

COLOURS = list(itertools.product((0, 128, 255), repeat=3))
# The colours of networks that are told of JPEG were not corrected (docs/jpeg.md).
NAMES = [path.stem for path in network_files() if not path.stem.startswith("srmdj")]
MAX_ERROR = 2  # levels of 255
SIDE = 25  # LR pixels: the network sees nothing beyond the edges when it computes the middle pixel


def restorer_of(network: str) -> Restorer:
    return load(network, "cpu", "fp32", "torch")


def errors(restorer: Restorer, kernel: str, noise_level: float) -> dict[tuple[int, ...], int]:
    """The colours that are wrong by more than MAX_ERROR in the middle of a flat picture, and by how many levels."""
    middle, wrong = slice(SIDE // 2 * restorer.config.scale, (SIDE // 2 + 1) * restorer.config.scale), {}
    assumed = Degradation.uniform(torch.from_numpy(to_kernel(kernel, 15))[None], torch.tensor([float(noise_level)]))
    for colour in COLOURS:
        flat = torch.tensor(colour).view(1, 3, 1, 1) / 255
        sr = restorer.restore_whole(flat.expand(1, 3, SIDE, SIDE), assumed)[..., middle, middle].clamp(0, 1)
        error = ((sr - flat).abs().max() * 255).round().item()
        if error > MAX_ERROR:
            wrong[colour] = int(error)
    return wrong


@pytest.mark.parametrize("network", NAMES)
def test_flat_colours_are_right(network: str):
    restorer = restorer_of(network)
    assert errors(restorer, "gaussian:0.7", 5 if "noise" in restorer.config.conditions else 0) == {}


@pytest.mark.slow
@pytest.mark.parametrize("network", NAMES)
@pytest.mark.parametrize("kernel", ["delta", "gaussian:1.3", "gaussian:2.6,1.0,30"])
def test_flat_colours_are_right_for_other_kernels_and_noise_levels(network: str, kernel: str):
    restorer = restorer_of(network)
    for noise_level in (0, 15, 50) if "noise" in restorer.config.conditions else (0,):
        assert errors(restorer, kernel, noise_level) == {}, noise_level
