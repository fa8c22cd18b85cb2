"""Convolution and ReLU in fewer multiplications."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, NetworkConfig
from srmd.winograd.convolution import conv_relu, conv_relu_

SIZES = [(1, 1), (6, 6), (7, 5), (12, 19), (71, 94), (40, 300)]  # whole tiles and parts of them, one strip and several
CHANNELS = [(6, 9), (32, 64)]  # the compiled functions take multiples of 32


def layer(height: int, width: int, channels: int, features: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias of a layer whose results are positive and negative."""
    generator = torch.Generator().manual_seed(0)
    sizes = (2, channels, height, width), (features, channels, 3, 3), (features,)
    x, weight, bias = (torch.randn(size, generator=generator) for size in sizes)
    return x.to(memory_format=torch.channels_last), weight / (9 * channels) ** 0.5, bias


@pytest.mark.parametrize(("channels", "features"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_it_is_the_convolution(height: int, width: int, channels: int, features: int):
    x, weight, bias = layer(height, width, channels, features)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1).relu()
    torch.testing.assert_close(conv_relu(x, weight, bias).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("channels", "features"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_it_can_do_without_new_memory(
    height: int, width: int, channels: int, features: int, layout: torch.memory_format
):
    x, weight, bias = layer(height, width, channels, features)
    x, weight, bias = x.contiguous(memory_format=layout), weight[:channels], bias[:channels]
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1).relu()
    result = conv_relu_(x, weight, bias)
    assert result.data_ptr() == x.data_ptr()
    torch.testing.assert_close(result.double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("channels", "features"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("shift", [0, 50])  # with a large bias nothing is cut off: every path of the gradient is open
def test_it_has_the_gradients_of_the_convolution(height: int, width: int, channels: int, features: int, shift: float):
    inputs = [tensor.requires_grad_() for tensor in layer(height, width, channels, features)]
    doubles = [tensor.detach().double().requires_grad_() for tensor in inputs]
    result = conv_relu(inputs[0], inputs[1], inputs[2] + shift)
    sums = F.conv2d(doubles[0], doubles[1], doubles[2] + shift, padding=1)
    expected = sums.relu()
    given = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    given[sums.abs() < 1e-4] = 0  # where rounding decides whether ReLU cuts off
    for mine, theirs in zip(
        torch.autograd.grad(result, inputs, given), torch.autograd.grad(expected, doubles, given.double()), strict=True
    ):
        assert (mine - theirs).abs().max() < 2e-5 * theirs.abs().max()


def test_a_network_learns_the_same_by_it():
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(features=32)).to(memory_format=torch.channels_last)
    lr, told, hr = torch.rand(2, 3, 14, 18), torch.rand(2, 16, 1, 1), torch.rand(2, 3, 28, 36)
    gradients = []
    for inner in (None, conv_relu):
        network.zero_grad()
        F.mse_loss(network(lr.to(memory_format=torch.channels_last), told, inner), hr).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for direct, winograd in zip(*gradients, strict=True):
        torch.testing.assert_close(winograd, direct, atol=1e-5, rtol=1e-3)
