"""Convolution by Winograd's algorithm, against PyTorch's convolution in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, Conv, NetworkConfig
from srmd.winograd.convolution import InferenceConv, conv

pytestmark = pytest.mark.usefixtures("compiled_functions")

SIZES = [(1, 1), (6, 6), (7, 5), (12, 19), (71, 94), (40, 300)]  # whole and partial tiles, one block and several
CHANNELS = [(6, 9), (19, 64), (64, 12), (32, 96)]  # the compiled functions pad them to multiples of 32


def random_layer(height: int, width: int, in_channels: int, out_channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias of a layer whose outputs before ReLU are positive and negative."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, in_channels, height, width), (out_channels, in_channels, 3, 3), (out_channels,)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x.to(memory_format=torch.channels_last), weight / (9 * in_channels) ** 0.5, bias


@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("relu", [True, False])
def test_the_output_is_that_of_the_convolution(
    height: int, width: int, in_channels: int, out_channels: int, relu: bool
):
    x, weight, bias = random_layer(height, width, in_channels, out_channels)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    if relu:
        expected = expected.relu()
    torch.testing.assert_close(conv(x, weight, bias, relu).double(), expected, atol=1e-4, rtol=0)


def layers_in_turn(conv_function: Conv, x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Copies of the results of all layers, with ReLU behind all but the last."""
    results = []
    for number, (weight, bias) in enumerate(layers, start=1):
        x = conv_function(x, weight, bias, number < len(layers))
        results.append(x.clone())
    return results


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_layers_without_gradients_compute_the_same(height: int, width: int, layout: torch.memory_format):
    channels = [19, 64, 64, 32, 32, 12]
    layers = [random_layer(1, 1, *pair)[1:] for pair in itertools.pairwise(channels)]
    x = random_layer(height, width, 19, 64)[0].contiguous(memory_format=layout)
    inference_conv = InferenceConv()
    for picture in (x, x.flip(3), x[:1, :, : height // 2 + 1], x):  # reuses memory; needs other memory
        results = layers_in_turn(inference_conv, picture, layers)
        for result, expected in zip(results, layers_in_turn(conv, picture, layers), strict=True):
            assert torch.equal(result, expected)


def test_layers_without_gradients_use_two_buffers():
    x, weight, bias = random_layer(20, 30, 32, 32)
    inference_conv, addresses = InferenceConv(), set()
    for _ in range(6):
        x = inference_conv(x, weight, bias, True)
        addresses.add(x.data_ptr())
    assert len(addresses) == 2


@pytest.mark.parametrize("channels", [12, 32])
def test_a_result_without_relu_is_not_overwritten(channels: int):
    x, weight, bias = random_layer(20, 30, 32, channels)
    inference_conv = InferenceConv()
    result = inference_conv(x, weight, bias, False)
    kept = result.clone()
    for _ in range(3):
        inference_conv(x + 1, weight, bias, False)
    assert torch.equal(result, kept)


@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("relu", [True, False])
def test_the_gradients_are_those_of_the_convolution(
    height: int, width: int, in_channels: int, out_channels: int, relu: bool
):
    inputs = [tensor.requires_grad_() for tensor in random_layer(height, width, in_channels, out_channels)]
    doubles = [tensor.detach().double().requires_grad_() for tensor in inputs]
    output = conv(*inputs, relu)
    before_relu = F.conv2d(*doubles, padding=1)
    grad_output = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    grad_output[before_relu.abs() < 1e-4] = 0  # rounding decides whether ReLU passes these
    gradients = torch.autograd.grad(output, inputs, grad_output)
    expected_output = before_relu.relu() if relu else before_relu
    expected = torch.autograd.grad(expected_output, doubles, grad_output.double())
    for gradient, expected_gradient in zip(gradients, expected, strict=True):
        assert (gradient - expected_gradient).abs().max() < 2e-5 * expected_gradient.abs().max()


def test_an_empty_batch_has_gradients_of_zero():
    x, weight, bias = random_layer(8, 8, 32, 32)
    weight.requires_grad_()
    output = conv(x[:0], weight, bias, True)
    assert output.shape == (0, 32, 8, 8)
    output.sum().backward()
    assert not weight.grad.any()


def test_second_derivatives_are_refused():
    x, weight, bias = (tensor.requires_grad_() for tensor in random_layer(8, 8, 32, 32))
    (gradient,) = torch.autograd.grad(conv(x, weight, bias, True).square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_frozen_weights_get_no_gradients():
    x, weight, bias = random_layer(8, 8, 32, 32)
    x.requires_grad_()
    conv(x, weight, bias, True).sum().backward()
    assert x.grad.any()
    assert weight.grad is None


def test_a_network_gets_the_same_gradients_as_with_pytorch_s_convolution():
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(features=32)).to(memory_format=torch.channels_last)
    lr, degradation_map, hr = torch.rand(2, 3, 14, 18), torch.rand(2, 16, 1, 1), torch.rand(2, 3, 28, 36)
    gradients = []
    for conv_function in (None, conv):
        network.zero_grad()
        sr = network(lr.to(memory_format=torch.channels_last), degradation_map, conv_function)
        F.mse_loss(sr, hr).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for direct, winograd in zip(*gradients, strict=True):
        torch.testing.assert_close(winograd, direct, atol=1e-5, rtol=1e-3)
