"""Features that no picture activates begin anew, and SR stays what it was."""

import copy

import pytest
import torch

from model import SRMD, NetworkConfig
from revive import revive

SILENT = {1: [5, 9, 100], 2: [7], 10: [64]}  # features by layer


@pytest.fixture
def network() -> SRMD:
    """A network of which some features are never active."""
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(scale=2))
    for layer, features in SILENT.items():
        network.convs[layer].bias.data[features] = -1e3
    return network


@pytest.fixture
def told() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, 24, 24, generator=generator), torch.rand(4, 16, 1, 1, generator=generator)


def revived(network: SRMD, told: tuple, seed: int = 0) -> tuple[SRMD, SRMD, int]:
    network, average = copy.deepcopy(network), copy.deepcopy(network)
    return network, average, revive(network, average, *told, torch.Generator().manual_seed(seed))


def activity(network: SRMD, lr: torch.Tensor, degradation_map: torch.Tensor) -> list[torch.Tensor]:
    """The share of LR's pixels on which each feature of each layer is active."""
    with torch.no_grad():
        x, shares = network.first(lr, degradation_map), []
        for conv in network.convs[1:]:
            shares.append((x > 0).float().mean((0, 2, 3)))
            x = conv(x).relu()
    return [*shares, (x > 0).float().mean((0, 2, 3))]


def test_sr_stays_what_it_was(network, told):
    with torch.no_grad():
        before = network(*told)
        for each in revived(network, told)[:2]:
            torch.testing.assert_close(each(*told), before, atol=1e-5, rtol=0)


def test_silent_features_are_active_on_about_half_of_the_pixels(network, told):
    found, _, count = revived(network, told)
    assert count == sum((share == 0).sum() for share in activity(network, *told)) >= 5
    shares = activity(found, *told)
    for layer, features in SILENT.items():
        assert ((shares[layer][features] > 0.2) & (shares[layer][features] < 0.8)).all()


def test_they_learn_in_two_steps(network, told):
    found, _, _ = revived(network, told)
    optimizer = torch.optim.SGD(found.parameters(), lr=0.01)
    wanted = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    for _ in range(2):
        optimizer.zero_grad()
        (found(*told) - wanted).square().mean().backward()
        optimizer.step()
    for layer, features in SILENT.items():
        assert (found.convs[layer].weight.grad[features].flatten(1).abs().amax(1) > 0).all()


def test_others_keep_their_weights_and_again_nothing_is_found(network, told):
    found, average, _ = revived(network, told)
    below, active = (share > 0 for share in activity(network, *told)[:2])
    weights = [each.convs[1].weight[active][:, below] for each in (found, network)]
    assert torch.equal(*weights)
    assert torch.equal(found.convs[1].bias[active], network.convs[1].bias[active])
    assert revived(found, told)[2] == 0
    assert torch.equal(found.convs[1].weight, average.convs[1].weight)


def test_the_same_generator_gives_the_same_weights(network, told):
    first, again, other = (revived(network, told, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.convs[1].weight, again.convs[1].weight)
    assert not torch.equal(first.convs[1].weight, other.convs[1].weight)
