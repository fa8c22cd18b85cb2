"""3×3 convolution by Winograd's F(6×6, 3×3), forward and backward, with or without ReLU.

A tile of 6×6 output pixels takes 64 multiplications per pair of channels instead of 324 (Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks, CVPR 2016, section 4). In float32 on CPUs, where multiplications are the
bottleneck, this is faster than a direct convolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from srmd.winograd import compiled
from srmd.winograd.transforms import filter_transform_backward


def conv(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """Return conv2d(x, weight, bias, padding=1), then ReLU if asked for, differentiable, in float32 on the CPU.

    `x` is (N, C, H, W), fastest in channels-last layout, `weight` (K, C, 3, 3), `bias` (K,), the result (N, K, H, W).
    A value that is not finite spreads over the tile of 6×6 pixels. Raises RuntimeError where `compiled.load` returns
    None.
    """
    images = _pad_channels(x.permute(0, 2, 3, 1))
    output = _Conv.apply(images, *_pad_parameters(weight, bias), relu)
    return output.permute(0, 3, 1, 2)[:, : len(weight)]


class InferenceConv:
    """The function `conv` without gradients, for the layers of one network, whose weights do not change.

    It keeps the transformed filters, and memory for the features of two layers: the system takes half as long to clear
    new memory for a layer as the layer's products take. A result with ReLU may be overwritten by the next call that
    does not take it as its input. A result without ReLU has memory of its own.
    """

    def __init__(self) -> None:
        # By the id of a layer's weight: the weight, which thus keeps its id, its transform, and the padded bias.
        self._layers: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._features: list[Tensor] = []  # (N, H, W, K) each

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        if id(weight) not in self._layers:
            padded_weight, padded_bias = _pad_parameters(weight, bias)
            self._layers[id(weight)] = weight, _functions().filter_transform(padded_weight), padded_bias
        _, transformed_filter, padded_bias = self._layers[id(weight)]
        images = _pad_channels(x.permute(0, 2, 3, 1)).contiguous()
        shape = torch.Size([*images.shape[:3], len(padded_bias)])
        output = self._unused_features(images, shape) if relu else images.new_empty(shape)
        _functions().conv(images, transformed_filter, padded_bias, relu, output)
        return output.permute(0, 3, 1, 2)[:, : len(weight)]

    def _unused_features(self, images: Tensor, shape: torch.Size) -> Tensor:
        """Memory of a shape that does not hold the images."""
        self._features = [features for features in self._features if features.shape == shape]
        for features in self._features:
            if features.data_ptr() != images.data_ptr():
                return features
        self._features.append(images.new_empty(shape))
        return self._features[-1]


def _functions() -> compiled.CompiledConvolution:
    functions = compiled.load()
    if functions is None:
        raise RuntimeError("expected GCC for the Winograd convolution, found none that can be used")
    return functions


def _pad_channels(images: Tensor) -> Tensor:
    """Images (N, H, W, C) with zeros as further channels, up to a number of channels that the functions take."""
    padding = -images.shape[3] % compiled.CHANNEL_MULTIPLE
    return F.pad(images, (0, padding)) if padding else images


def _pad_parameters(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (K, C, 3, 3) and bias (K,) with zeros for further channels, up to numbers that the functions take."""
    multiple = compiled.CHANNEL_MULTIPLE
    out_padding, in_padding = -weight.shape[0] % multiple, -weight.shape[1] % multiple
    if out_padding == in_padding == 0:
        return weight, bias
    return F.pad(weight, (0, 0, 0, 0, 0, in_padding, 0, out_padding)), F.pad(bias, (0, out_padding))


class _Conv(torch.autograd.Function):
    """The convolution of images (N, H, W, C) to (N, H, W, K)."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, images: Tensor, weight: Tensor, bias: Tensor, relu: bool
    ) -> Tensor:
        images, functions = images.contiguous(), _functions()
        output = images.new_empty(*images.shape[:3], len(weight))
        functions.conv(images, functions.filter_transform(weight), bias, relu, output)
        ctx.save_for_backward(images, weight, output if relu else None)
        return output

    @staticmethod
    @once_differentiable  # otherwise second derivatives would be wrong without a message
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_output: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        images, weight, output = ctx.saved_tensors
        grad_output, functions = grad_output.contiguous(), _functions()
        grad_images = None
        if ctx.needs_input_grad[0]:
            grad_images = torch.empty_like(images)
            functions.input_gradient(grad_output, output, weight, grad_images)
        if not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2]):
            return grad_images, None, None, None
        grad_filter, grad_bias = functions.filter_gradient(images, grad_output, output)
        return grad_images, filter_transform_backward(grad_filter), grad_bias, None
