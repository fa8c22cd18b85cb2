"""Each shipped network computes flat areas in their colour, before any rule for them."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
import torch

from srmd.degradation import Degradation
from srmd.jpeg.tables import JpegTables
from srmd.kernel.specs import to_kernel
from srmd.restore.restorer import Restorer, load
from srmd.weights.shipped import network_files

COLOURS = list(itertools.product((0, 128, 255), repeat=3))
NAMES = [path.stem for path in network_files()]
QUALITIES = 75, 30  # of JPEG, which some networks are told
MAX_ERROR = 2  # levels of 255
SIDE = 25  # LR pixels: the network sees nothing beyond the edges when it computes the middle pixel


def restorer_of(network: str) -> Restorer:
    return load(network, "cpu", "fp32", "torch")


def assumptions(
    restorer: Restorer, kernel: str, noise_levels: Sequence[int], qualities: Sequence[int]
) -> Iterator[Degradation]:
    """The degradations that the network can be told, with these noise levels; not compressed, and in these qualities.

    Without noise if the network is not told of it.
    """
    conditions, kernels = restorer.config.conditions, torch.from_numpy(to_kernel(kernel, 15))[None]
    for noise_level in noise_levels if "noise" in conditions else (0,):
        uncompressed = Degradation.uniform(kernels, torch.tensor([float(noise_level)]))
        yield uncompressed
        for quality in qualities if "jpeg" in conditions else ():
            yield uncompressed.with_jpeg(JpegTables.of_quality(quality))


def errors(restorer: Restorer, assumed: Degradation) -> dict[tuple[int, ...], int]:
    """The colours that are wrong by more than MAX_ERROR in the middle of a flat picture, and by how many levels."""
    middle, wrong = slice(SIDE // 2 * restorer.config.scale, (SIDE // 2 + 1) * restorer.config.scale), {}
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
    for assumed in assumptions(restorer, "gaussian:0.7", [5], QUALITIES[:1]):
        assert errors(restorer, assumed) == {}, assumed.jpeg


@pytest.mark.slow
@pytest.mark.parametrize("network", NAMES)
@pytest.mark.parametrize("kernel", ["delta", "gaussian:1.3", "gaussian:2.6,1.0,30"])
def test_flat_colours_are_right_for_other_kernels_noise_levels_and_qualities(network: str, kernel: str):
    restorer = restorer_of(network)
    for assumed in assumptions(restorer, kernel, [0, 15, 50], QUALITIES):
        assert errors(restorer, assumed) == {}, (assumed.noise_levels, assumed.jpeg)
