"""Flat areas of LR keep their colour up to the edges of the picture; what has details is left to the network."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from srmd.degradation import Degradation
from srmd.kernel.specs import to_kernel
from srmd.model import SRMD, NetworkConfig
from srmd.restore.flat import MAX_RANGE, limits_of_flat_areas, without_bars
from srmd.restore.restorer import load, open_restorer
from srmd.weights.files import Weights


def lr_picture() -> np.ndarray:
    """A red disc and noise on flat blue; the noise touches the lower edge."""
    picture = Image.new("RGB", (64, 48), (0, 0, 255))
    ImageDraw.Draw(picture).ellipse((20, 14, 30, 24), fill=(255, 0, 0))
    pixels = np.array(picture)
    pixels[40:, 50:] = np.random.default_rng(0).integers(0, 256, (8, 14, 3))
    return pixels


def limits_by_loops(lr: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.full(lr.shape, -np.inf), np.full(lr.shape, np.inf)
    for row, column, channel in np.ndindex(lr.shape):
        window = lr[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1, channel]
        value_range = window.max() - window.min()
        if value_range <= MAX_RANGE:
            lower[row, column, channel] = window.min() - value_range
            upper[row, column, channel] = window.max() + value_range
    return lower, upper


def test_limits_are_those_of_the_window_around_each_pixel():
    lr = lr_picture() / np.float32(255)
    lr[:, :16] += np.random.default_rng(1).integers(-3, 4, (48, 16, 3)) / np.float32(255)
    lower, upper = limits_of_flat_areas(lr, 3)
    expected_lower, expected_upper = limits_by_loops(lr, 3)
    assert 0 < np.isfinite(expected_lower).mean() < 1
    assert np.array_equal(lower, expected_lower)
    assert np.array_equal(upper, expected_upper)


@pytest.mark.parametrize(("name", "scale"), [("srmd_x1", 1), ("srmdnf_x2", 2), ("srmdnf_x3", 3), ("srmd_x4", 4)])
def test_flat_pictures_keep_their_colour_everywhere(name: str, scale: int):
    restorer = load(name, "cpu", "fp32", "torch")
    for colour in ((0, 0, 255), (255, 0, 128), (255, 0, 0)):
        lr = np.full((20, 15, 3), colour, np.uint8)
        sr = restorer.restore(lr, "gaussian:1.3", 0)
        assert np.array_equal(sr, np.full((20 * scale, 15 * scale, 3), colour, np.uint8))


@pytest.mark.parametrize(("name", "scale"), [("srmdj_x1", 1), ("srmd_x2", 2), ("srmdnf_x3", 3), ("srmd_x4", 4)])
def test_nearly_flat_pictures_keep_their_colour_up_to_the_edges(name: str, scale: int):
    restorer = load(name, "cpu", "fp32", "torch")
    changes = np.random.default_rng(0).integers(-1, 2, (20, 15, 3))
    for colour in ((0, 0, 255), (255, 0, 255), (0, 255, 0), (255, 255, 255)):
        lr = np.clip(np.array(colour) + changes, 0, 255).astype(np.uint8)
        sr = restorer.restore(lr, "gaussian:1.3", 0)
        assert np.abs(sr.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("tile", ["auto", 18])
def test_only_flat_areas_differ_from_what_the_network_computes(tile: int | str):
    restorer = load("srmdnf_x2", "cpu", "fp32", "torch")
    lr = lr_picture()
    sr = restorer.restore(lr, "gaussian:1.3", 0, tile)
    assumed = Degradation.uniform(torch.from_numpy(to_kernel("gaussian:1.3", 15))[None], torch.zeros(1))
    network = restorer.restore_whole(torch.from_numpy(lr).permute(2, 0, 1)[None] / 255, assumed)
    network = (network[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    lower, _ = limits_of_flat_areas(lr / np.float32(255), 7)
    flat = np.isfinite(lower).repeat(2, axis=0).repeat(2, axis=1)
    blue = np.broadcast_to((0, 0, 255), sr.shape)
    assert flat.any()
    assert (sr[flat] == blue[flat]).all()
    assert np.abs(sr[~flat] - network[~flat]).max() < 0.51
    assert np.abs(network[flat] - blue[flat]).max() > 10, "the network is right at the edges: the rule is not needed"


@pytest.mark.parametrize(("scale", "window", "radius"), [(4, 15, 7), (4, 21, 7), (1, 21, 10), (2, 31, 8)])
def test_the_distance_from_details_grows_only_if_half_a_window_is_longer(scale: int, window: int, radius: int):
    network = SRMD(NetworkConfig(scale, features=3, layers=12, kernel_size=window))
    torch.nn.init.constant_(network.head.bias, 0.2)  # it takes no area for the colour that it has
    restorer = open_restorer(Weights(network, torch.zeros(15, window**2)), "cpu", "torch", "fp32")
    lr = np.full((40, 3, 3), 90, np.uint8)
    lr[0] = 255, 0, 0
    sr = restorer.restore(lr, "delta", 0)
    is_kept = (sr == 90).all((1, 2))
    assert len(is_kept) - is_kept.sum() == scale * (1 + radius)


def test_flat_areas_of_a_network_with_few_layers_do_not_depend_on_the_tiles():
    torch.manual_seed(0)
    weights = Weights(SRMD(NetworkConfig(scale=2, features=8, layers=6)), torch.zeros(15, 225))
    restorer = open_restorer(weights, "cpu", "torch", "fp32")
    lr = np.full((40, 50, 3), 90, np.uint8)
    lr[[11, 29], [11, 41]] = 255, 0, 0  # just outside the inputs of some tiles
    whole, tiles = (restorer.restore(lr, "delta", 0, tile) for tile in (50, 6))
    assert np.abs(whole.astype(int) - tiles).max() <= 1


def test_pictures_of_16_bits_and_floats_keep_flat_colours():
    restorer = load("srmdnf_x2", "cpu", "fp32", "torch")
    for lr in (np.full((9, 9, 3), (0, 12345, 65535), np.uint16), np.full((9, 9, 3), (0, 0.3, 1), np.float32)):
        assert np.array_equal(restorer.restore(lr, "delta", 0), lr.repeat(2, axis=0).repeat(2, axis=1))


def test_bars_are_cut_off_also_within_each_other():
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    framed = np.pad(noise, [(2, 3), (4, 0), (0, 0)], constant_values=9)
    framed = np.pad(framed, [(0, 5), (1, 1), (0, 0)], constant_values=200)
    assert np.array_equal(without_bars(framed), noise)
    flat = np.full((5, 6, 3), 7, np.uint8)
    assert np.array_equal(without_bars(flat), flat)
