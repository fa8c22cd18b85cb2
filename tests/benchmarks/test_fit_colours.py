"""The correction of flat colours: its formulas, and its effect on a small network."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import fit_colours
from benchmarks.fit_colours import Moments, Protected, flat_errors, layer_sums, random_flats, restore_flats, whitening
from default_pca import default_pca
from srmd.config import CONDITIONS
from srmd.jpeg.tables import JpegTables
from srmd.model import SRMD, NetworkConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.weights.files import Weights


def small_weights(kernel_size: int = 15, conditions: tuple[str, ...] = ("kernel", "noise")) -> Weights:
    """An untrained network whose flat colours are off by some levels."""
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(2, features=16, layers=3, kernel_size=kernel_size, conditions=conditions))
    torch.nn.init.normal_(network.head.weight, std=0.004)
    with torch.no_grad():
        for channel, subpixels in enumerate(network.head.weight.chunk(3)):
            subpixels[:, channel, 1, 1] = 1
    return Weights(network, default_pca(kernel_size))


def moments_of(inputs: int, outputs: int) -> Moments:
    """Second moments of random inputs and gradients."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(9 * inputs + 1, generator=generator).diag()
    mixed_inputs = (torch.randn(500, 9 * inputs + 1, generator=generator) @ mix).double()
    gradients = torch.randn(500, outputs, generator=generator).double()
    return Moments(mixed_inputs.T @ mixed_inputs / 500, gradients.T @ gradients / 500)


@torch.no_grad()
def test_a_flat_picture_is_restored_as_the_network_restores_its_middle():
    weights = small_weights()
    colours, maps = random_flats(np.random.default_rng(0), weights, 5)
    sr = weights.network(colours[:, :, None, None].expand(-1, -1, 9, 9), maps[:, :, None, None])
    expected = sr[..., 8:10, 8:10].flatten(2)  # the middle LR pixel
    torch.testing.assert_close(restore_flats(layer_sums(weights.network), torch.cat([colours, maps], 1)), expected)


def test_overshoot_beyond_black_and_white_is_no_error():
    sums = [torch.tensor([[1.1, 0, 0, 0], [0, 1.1, 0, 0], [0, 0, 1.1, -0.05]])]  # r and g times 1.1, b less 0.05
    colours = torch.tensor([[1.0, 0.5, 0.0]])
    assert flat_errors(sums, colours, torch.empty(1, 0))[0, :, 0].tolist() == pytest.approx([0, 0.05 * 255, 0])


def test_a_whitened_change_has_the_penalty_of_its_squares_and_the_sums_of_its_taps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit_colours, "DAMPING", 0)
    moments = moments_of(inputs=4, outputs=6)
    layer, change = whitening(moments), torch.randn(6, 5).double()
    taps = layer.outputs @ change @ layer.taps  # (6, 9·4 + 1)
    penalty = torch.trace(moments.gradients @ taps @ moments.inputs @ taps.T)
    assert penalty.item() == pytest.approx(change.square().sum().item(), rel=1e-6)
    sums = torch.cat([taps[:, :-1].view(6, 4, 9).sum(2), taps[:, -1:]], 1)
    torch.testing.assert_close(layer.outputs @ change @ layer.sums, sums)


def test_no_other_taps_with_the_same_sums_have_a_lower_penalty(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit_colours, "DAMPING", 0)
    moments = moments_of(inputs=2, outputs=3)
    layer = whitening(moments)
    taps = layer.outputs @ torch.randn(3, 3).double() @ layer.taps
    other = 0.01 * torch.randn(3, 2, 9).double()
    other -= other.mean(2, keepdim=True)  # changes no sum
    other = torch.nn.functional.pad(other.flatten(1), (0, 1))
    least, more = (torch.trace(moments.gradients @ each @ moments.inputs @ each.T) for each in (taps, taps + other))
    assert least < more


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    (tmp_path / "pictures").mkdir()
    coarse = Image.fromarray(np.random.default_rng(0).integers(60, 200, (40, 40, 3), np.uint8))
    coarse.resize((200, 200), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / "a.png")
    pack(tmp_path / "pictures", tmp_path / "pack.h5")
    return PackedPictures(tmp_path / "pack.h5")


@pytest.mark.parametrize("kernel_size", [15, 21])
def test_protected_degradations_have_a_share_of_the_moments(pictures: PackedPictures, kernel_size: int):
    weights = small_weights(kernel_size)
    first = [
        fit_colours.mixed_moments(weights, pictures, 4, [Protected("delta", level, share)])[0].inputs
        for level, share in ((51, 1.0), (0, 1.0), (51, 0.5))
    ]
    noise_level = 9 * (3 + 15) + 4  # the middle tap of the last channel
    others = fit_colours.mixed_moments(weights, pictures, 4)[0].inputs
    assert first[0][noise_level, noise_level].item() == pytest.approx((51 / 255) ** 2)
    assert first[1][noise_level, noise_level] == 0
    torch.testing.assert_close(first[2], (first[0] + others) / 2)


def test_the_checked_colours_of_a_network_for_jpegs_are_uncompressed_or_of_two_qualities():
    colours, maps = fit_colours.combinations(small_weights(conditions=CONDITIONS))
    assert colours.shape == (len(maps), 3)
    expected = torch.tensor([(0.0, 0.0, 0.0), *(JpegTables.of_quality(quality).condition for quality in (30, 75))])
    torch.testing.assert_close(maps[:, 16:].unique(dim=0), expected[[0, 2, 1]])
    _, untold = fit_colours.combinations(small_weights())
    assert untold.shape == (len(maps) / 3, 16)
    torch.testing.assert_close(maps[maps[:, 16] == 0][:, :16], untold)


def test_half_of_the_random_flats_of_a_network_for_jpegs_are_compressed():
    _, maps = random_flats(np.random.default_rng(0), small_weights(conditions=CONDITIONS), 2000)
    is_compressed = maps[:, 16] > 0
    assert is_compressed.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert set(maps[is_compressed, 18].tolist()) == {0, 0.5, 1}


@pytest.mark.parametrize("kernel_size", [15, 21])
def test_a_network_that_cannot_be_corrected_is_an_error(
    pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch, kernel_size: int
):
    monkeypatch.setattr(fit_colours, "STEPS", 1)
    weights = small_weights(kernel_size)
    moments = fit_colours.natural_moments(weights.network, fit_colours.training_batches(weights, pictures), 1)
    with pytest.raises(RuntimeError, match="colours are off by"):
        fit_colours.corrected(weights, moments, log=lambda message: None)


def test_a_fit_with_a_learning_rate_of_0_changes_nothing(pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit_colours, "MAX_ERROR", math.inf)
    monkeypatch.setattr(fit_colours, "STEPS", 2)
    weights = small_weights()
    moments = fit_colours.natural_moments(weights.network, fit_colours.training_batches(weights, pictures), 1)
    network = fit_colours.corrected(weights, moments, learning_rate=0, log=lambda message: None)
    torch.testing.assert_close(network.state_dict(), weights.network.state_dict())


@pytest.mark.parametrize("conditions", [("kernel", "noise"), CONDITIONS])
def test_flat_colours_are_corrected_and_natural_pictures_change_little(
    pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch, conditions: tuple[str, ...]
):
    monkeypatch.setattr(fit_colours, "MAX_ERROR", math.inf)  # the small network can't become as good
    weights = small_weights(conditions=conditions)
    batches = fit_colours.training_batches(weights, pictures)
    moments = fit_colours.natural_moments(weights.network, batches, 4)
    network = fit_colours.corrected(weights, moments, log=lambda message: None)
    flats = random_flats(np.random.default_rng(1), weights, 500)
    before, after = (flat_errors(layer_sums(each), *flats) for each in (weights.network, network))
    assert after.square().mean() < 0.25 * before.square().mean()
    batch = batches.draw(9)
    with torch.no_grad():
        old, new = (each(batch.lr, batch.degradation_map) for each in (weights.network, network))
    assert (new - old).square().mean() < 0.1 * (old - batch.hr).square().mean()
