"""Dormant features are reset, and SR stays what it was."""

import copy

import pytest
import torch

from srmd.model import SRMD, NetworkConfig
from srmd.train.dormant import dormant_features, reset_dormant_features

DORMANT = {1: [5, 9, 100], 2: [7], 10: [64]}  # features by layer


@pytest.fixture(params=["subpixel", "upsample"])
def network(request: pytest.FixtureRequest) -> SRMD:
    """A network of which some features are never active."""
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(scale=2, head=request.param))
    for layer, features in DORMANT.items():
        network.convs[layer].bias.data[features] = -1e3
    return network


@pytest.fixture
def told() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, 24, 24, generator=generator), torch.rand(4, 16, 1, 1, generator=generator)


def reset(network: SRMD, told: tuple, seed: int = 0) -> tuple[SRMD, SRMD]:
    network, average = copy.deepcopy(network), copy.deepcopy(network)
    reset_dormant_features(
        network, average, dormant_features(network, *told), *told, torch.Generator().manual_seed(seed)
    )
    return network, average


def responses(network: SRMD, told: tuple) -> list[torch.Tensor]:
    """What the layers before the head give to ReLU."""
    found = []
    with torch.no_grad():
        x = torch.cat([told[0], told[1].expand(-1, -1, 24, 24)], 1)
        for conv in network.convs:
            found.append(conv(x))
            x = found[-1].relu()
    return found


def test_finds_the_features_that_are_never_active(network, told):
    dormant = dormant_features(network, *told)
    assert [layer.tolist() for layer in dormant] == [
        (response.amax((0, 2, 3)) <= 0).tolist() for response in responses(network, told)
    ]
    assert all(dormant[layer][features].all() for layer, features in DORMANT.items())
    assert 5 <= sum(layer.sum() for layer in dormant) < 100


def test_sr_stays_what_it_was(network, told):
    with torch.no_grad():
        before = network(*told)
        for each in reset(network, told):
            torch.testing.assert_close(each(*told), before, atol=1e-5, rtol=0)


def test_dormant_features_are_active_on_about_half_of_the_pixels_and_no_stronger_than_others(network, told):
    found = responses(reset(network, told)[0], told)
    for layer, features in DORMANT.items():
        shares = (found[layer][:, features] > 0).float().mean((0, 2, 3))
        assert ((shares > 0.2) & (shares < 0.8)).all()
        spreads = found[layer].std((0, 2, 3))
        assert ((spreads[features] > 0.3 * spreads.median()) & (spreads[features] < 3 * spreads.median())).all()


def test_a_layer_that_is_dormant_as_a_whole_is_reset_too(network, told):
    network.convs[4].bias.data[:] = -1e3
    found = responses(reset(network, told)[0], told)
    assert all(((response > 0).sum((0, 2, 3)) > 0).all() for response in found)


def test_they_learn_in_two_steps(network, told):
    found, _ = reset(network, told)
    optimizer = torch.optim.SGD(found.parameters(), lr=0.01)
    wanted = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    for _ in range(2):
        optimizer.zero_grad()
        (found(*told) - wanted).square().mean().backward()
        optimizer.step()
    for layer, features in DORMANT.items():
        assert (found.convs[layer].weight.grad[features].flatten(1).abs().amax(1) > 0).all()


def test_others_keep_their_weights_and_the_average_gets_the_new_ones(network, told):
    found, average = reset(network, told)
    below, dormant = dormant_features(network, *told)[:2]
    weights = [each.convs[1].weight[~dormant][:, ~below] for each in (found, network)]
    assert torch.equal(*weights)
    assert torch.equal(found.convs[1].bias[~dormant], network.convs[1].bias[~dormant])
    assert not torch.equal(found.convs[1].bias, network.convs[1].bias)
    for new, averaged in zip(found.parameters(), average.parameters(), strict=True):
        assert torch.equal(new, averaged)


def test_the_same_generator_gives_the_same_weights(network, told):
    first, again, other = (reset(network, told, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.convs[1].weight, again.convs[1].weight)
    assert not torch.equal(first.convs[1].weight, other.convs[1].weight)
