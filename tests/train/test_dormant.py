"""Finding dormant features, and resetting them without changing SR."""

import copy

import pytest
import torch

from srmd.model import SRMD, NetworkConfig
from srmd.train.dormant import dormant_features, reset_dormant_features

DORMANT = {1: [5, 9, 100], 2: [7], 10: [64]}  # layer → features that the fixture makes dormant
SIDE = 16  # LR pixels


@pytest.fixture(params=["subpixel", "upsample"])
def network(request: pytest.FixtureRequest) -> SRMD:
    """A network with the dormant features of DORMANT, and some others by chance."""
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(scale=2, head=request.param))
    for layer, features in DORMANT.items():
        network.convs[layer].bias.data[features] = -1e3
    return network


@pytest.fixture
def lr_and_map() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, SIDE, SIDE, generator=generator), torch.rand(4, 16, 1, 1, generator=generator)


def reset(network: SRMD, lr_and_map: tuple, seed: int = 0) -> tuple[SRMD, SRMD]:
    """Copies of the network, as network and as average, with their dormant features reset."""
    network, average = copy.deepcopy(network), copy.deepcopy(network)
    dormant = dormant_features(network, *lr_and_map)
    reset_dormant_features(network, average, dormant, *lr_and_map, torch.Generator().manual_seed(seed))
    return network, average


def pre_activations(network: SRMD, lr_and_map: tuple) -> list[torch.Tensor]:
    """The outputs of all layers except the head, before ReLU."""
    lr, degradation_map = lr_and_map
    outputs = []
    with torch.no_grad():
        x = torch.cat([lr, degradation_map.expand(-1, -1, SIDE, SIDE)], 1)
        for conv in network.convs:
            outputs.append(conv(x))
            x = outputs[-1].relu()
    return outputs


def test_features_that_are_never_active_are_found(network, lr_and_map):
    dormant = dormant_features(network, *lr_and_map)
    never_active = [output.amax((0, 2, 3)) <= 0 for output in pre_activations(network, lr_and_map)]
    assert all(torch.equal(a, b) for a, b in zip(dormant, never_active, strict=True))
    assert all(dormant[layer][features].all() for layer, features in DORMANT.items())
    assert 5 <= sum(layer.sum() for layer in dormant) < 100


def test_resetting_does_not_change_sr(network, lr_and_map):
    with torch.no_grad():
        expected = network(*lr_and_map)
        for each in reset(network, lr_and_map):
            torch.testing.assert_close(each(*lr_and_map), expected, atol=1e-5, rtol=0)


def test_reset_features_are_active_at_about_half_of_the_pixels_and_as_strong_as_others(network, lr_and_map):
    outputs = pre_activations(reset(network, lr_and_map)[0], lr_and_map)
    for layer, features in DORMANT.items():
        active_shares = (outputs[layer][:, features] > 0).float().mean((0, 2, 3))
        assert ((active_shares > 0.2) & (active_shares < 0.8)).all()
        deviations = outputs[layer].std((0, 2, 3))
        median = deviations.median()
        assert ((deviations[features] > 0.3 * median) & (deviations[features] < 3 * median)).all()


def test_a_layer_with_dormant_features_only_is_reset_too(network, lr_and_map):
    network.convs[4].bias.data[:] = -1e3
    outputs = pre_activations(reset(network, lr_and_map)[0], lr_and_map)
    assert all(((output > 0).sum((0, 2, 3)) > 0).all() for output in outputs)


def test_reset_features_get_gradients_in_the_second_step(network, lr_and_map):
    network, _ = reset(network, lr_and_map)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    hr = torch.rand(4, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(2))
    for _ in range(2):  # after the first step the next layer's weights for them are no longer 0
        optimizer.zero_grad()
        (network(*lr_and_map) - hr).square().mean().backward()
        optimizer.step()
    for layer, features in DORMANT.items():
        assert (network.convs[layer].weight.grad[features].flatten(1).abs().amax(1) > 0).all()


def test_other_features_keep_their_weights_and_the_average_gets_the_new_ones(network, lr_and_map):
    new, average = reset(network, lr_and_map)
    dormant_inputs, dormant = dormant_features(network, *lr_and_map)[:2]
    new_conv, conv = new.convs[1], network.convs[1]
    assert torch.equal(new_conv.weight[~dormant][:, ~dormant_inputs], conv.weight[~dormant][:, ~dormant_inputs])
    assert torch.equal(new_conv.bias[~dormant], conv.bias[~dormant])
    assert not torch.equal(new_conv.bias, conv.bias)
    for parameter, averaged in zip(new.parameters(), average.parameters(), strict=True):
        assert torch.equal(parameter, averaged)


def test_the_new_weights_depend_on_the_generator_only(network, lr_and_map):
    first, again, other = (reset(network, lr_and_map, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.convs[1].weight, again.convs[1].weight)
    assert not torch.equal(first.convs[1].weight, other.convs[1].weight)
