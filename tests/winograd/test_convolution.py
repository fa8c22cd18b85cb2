"""Convolution with ReLU by Winograd's algorithm, against PyTorch's convolution in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, NetworkConfig
from srmd.winograd.convolution import ConvReLUWithTwoBuffers, conv_relu

SIZES = [(1, 1), (6, 6), (7, 5), (12, 19), (71, 94), (40, 300)]  # whole and partial tiles, one block and several
CHANNELS = [(6, 9), (32, 64)]  # the compiled functions take multiples of 32


def random_layer(height: int, width: int, in_channels: int, out_channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias of a layer whose outputs before ReLU are positive and negative."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, in_channels, height, width), (out_channels, in_channels, 3, 3), (out_channels,)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x.to(memory_format=torch.channels_last), weight / (9 * in_channels) ** 0.5, bias


@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_output_is_that_of_the_convolution(height: int, width: int, in_channels: int, out_channels: int):
    x, weight, bias = random_layer(height, width, in_channels, out_channels)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1).relu()
    torch.testing.assert_close(conv_relu(x, weight, bias).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [6, 32])
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_layers_in_two_buffers_compute_the_same(height: int, width: int, channels: int, layout: torch.memory_format):
    x, weight, bias = random_layer(height, width, channels, channels)
    x = x.contiguous(memory_format=layout)
    layer, buffers = ConvReLUWithTwoBuffers(), set()
    expected = output = x
    for _ in range(4):
        expected = conv_relu(expected, weight, bias)
        output = layer(output, weight, bias)
        assert torch.equal(output, expected)
        buffers.add(output.data_ptr())
    assert len(buffers) == 2


def test_the_number_of_channels_may_change_between_layers_in_two_buffers():
    x, weight, bias = random_layer(20, 30, 32, 64)
    layers = [(weight, bias), (weight.transpose(0, 1), bias[:32])]
    expected = x
    for layer_weight, layer_bias in layers:
        expected = conv_relu(expected, layer_weight, layer_bias)
    conv_relu_with_buffers, output = ConvReLUWithTwoBuffers(), x
    for layer_weight, layer_bias in layers:
        output = conv_relu_with_buffers(output, layer_weight, layer_bias)
    assert torch.equal(output, expected)


@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("shift", [0, 50])  # with a bias of 50 ReLU passes every gradient
def test_the_gradients_are_those_of_the_convolution(
    height: int, width: int, in_channels: int, out_channels: int, shift: float
):
    inputs = [tensor.requires_grad_() for tensor in random_layer(height, width, in_channels, out_channels)]
    doubles = [tensor.detach().double().requires_grad_() for tensor in inputs]
    output = conv_relu(inputs[0], inputs[1], inputs[2] + shift)
    before_relu = F.conv2d(doubles[0], doubles[1], doubles[2] + shift, padding=1)
    grad_output = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    grad_output[before_relu.abs() < 1e-4] = 0  # rounding decides whether ReLU passes these
    gradients = torch.autograd.grad(output, inputs, grad_output)
    expected = torch.autograd.grad(before_relu.relu(), doubles, grad_output.double())
    for gradient, expected_gradient in zip(gradients, expected, strict=True):
        assert (gradient - expected_gradient).abs().max() < 2e-5 * expected_gradient.abs().max()


def test_a_network_gets_the_same_gradients_as_with_pytorch_s_convolution():
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(features=32)).to(memory_format=torch.channels_last)
    lr, degradation_map, hr = torch.rand(2, 3, 14, 18), torch.rand(2, 16, 1, 1), torch.rand(2, 3, 28, 36)
    gradients = []
    for layer in (None, conv_relu):
        network.zero_grad()
        sr = network(lr.to(memory_format=torch.channels_last), degradation_map, layer)
        F.mse_loss(sr, hr).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for direct, winograd in zip(*gradients, strict=True):
        torch.testing.assert_close(winograd, direct, atol=1e-5, rtol=1e-3)
