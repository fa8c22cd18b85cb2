"""Colour augmentation of training crops."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from srmd.train.colours import (
    MAX_GAIN,
    MAX_OFFSET,
    MIN_GAIN,
    UNCHANGED_COLOURS,
    ColourShares,
    augment_colours,
    recolour,
    saturated_leaves,
)

CPU = torch.device("cpu")


def crops(count: int, size: int = 24) -> Tensor:
    """Crops whose values lie so close to 1/2 that no gain or offset clips them."""
    generator = torch.Generator().manual_seed(0)
    return 0.4 + 0.2 * torch.rand(count, 3, size, size, generator=generator)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_same_generator_gives_the_same_crops():
    shares = ColourShares(0.5, 0.5)
    first, again, other = (augment_colours(crops(16), rng(seed), shares) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shares_of_zero_change_nothing():
    assert torch.equal(augment_colours(crops(16), rng(), UNCHANGED_COLOURS), crops(16))


def test_the_shares_of_recoloured_and_of_drawn_crops_are_kept():
    hr = crops(1000, size=4)
    recoloured = augment_colours(hr, rng(), ColourShares(0.3, 0)) != hr
    assert recoloured.any((1, 2, 3)).float().mean().item() == pytest.approx(0.3, abs=0.05)
    drawn = augment_colours(hr, rng(), ColourShares(0, 0.2))
    assert (drawn != hr).any((1, 2, 3)).float().mean().item() == pytest.approx(0.2, abs=0.04)


def test_a_recoloured_crop_has_permuted_channels_with_a_gain_and_an_offset():
    hr = crops(200)
    recoloured = recolour(hr, rng(), 1)
    orders = set()
    for before, after in zip(hr.flatten(2), recoloured.flatten(2), strict=True):
        correlation = torch.corrcoef(torch.cat([after, before]))[:3, 3:]
        assert (correlation.amax(1) > 0.999).all()  # each channel is a function of one old channel
        order = correlation.argmax(1)
        orders.add(tuple(order.tolist()))
        gain = after.std(1) / before[order].std(1)
        offset = (after - 0.5).mean(1) - gain * (before[order] - 0.5).mean(1)
        assert ((gain >= MIN_GAIN - 1e-4) & (gain <= MAX_GAIN + 1e-4)).all()
        assert (offset.abs() <= MAX_OFFSET + 1e-4).all()
    assert orders == set(itertools.permutations(range(3)))


def test_recoloured_crops_are_clipped():
    hr = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    recoloured = recolour(hr, rng(), 1)
    assert recoloured.min() == 0
    assert recoloured.max() == 1


def test_a_third_of_the_drawn_crops_is_flat_and_a_third_has_two_colours():
    drawn = saturated_leaves(rng(), 300, 32, CPU)
    levels = drawn.flatten(2).permute(0, 2, 1)
    flat = (levels == levels[:, :1]).all((1, 2)).float().mean().item()
    colours = [len(crop.unique(dim=0)) for crop in drawn[:, :, ::4, ::4].flatten(2).permute(0, 2, 1)]
    assert flat == pytest.approx(1 / 3, abs=0.1)
    assert np.mean(np.array(colours) > 4) > 0.1  # antialiased pixels between two colours count too


def test_drawn_crops_contain_every_extreme_colour_and_antialiased_edges():
    drawn = saturated_leaves(rng(), 300, 16, CPU)
    assert drawn.min() == 0
    assert drawn.max() == 1
    colours = {tuple(colour) for colour in drawn.permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert set(itertools.product((0.0, 1.0), repeat=3)) <= colours
    two_colours = next(crop for crop in drawn if crop[:, 0, 0].ne(crop[:, -1, -1]).any())
    between = (two_colours - two_colours[:, :1, :1]).abs().amax(0)
    assert ((between > 0) & (between < between.max())).any()
