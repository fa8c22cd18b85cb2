"""3×3 convolution with ReLU by Winograd's F(6×6, 3×3), forward and backward.

A tile of 6×6 output pixels takes 64 multiplications per pair of channels instead of 324 (Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks, CVPR 2016, section 4). In float32 on CPUs, where multiplications are the
bottleneck, this is faster than a direct convolution.
"""

from types import ModuleType

import torch
from torch import Tensor

from srmd.winograd import compiled, uncompiled
from srmd.winograd.transforms import filter_transform_backward


def conv_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return relu(conv2d(x, weight, bias, padding=1)), differentiable, in float32 on the CPU.

    `x` is (N, C, H, W), fastest in channels-last layout, `weight` (K, C, 3, 3), `bias` (K,), the result (N, K, H, W).
    """
    return _ConvReLU.apply(x, weight, bias)


class ConvReLUWithTwoBuffers:
    """relu(conv2d(x, weight, bias, padding=1)) without gradients, for the layers of one network in turn.

    The output of a layer is written to the memory of the input of the layer before. Memory of its own for each output
    would take nearly half as long as the products, because the system clears new memory. The input of a call is
    therefore overwritten by the call after it.
    """

    def __init__(self) -> None:
        self._free: Tensor | None = None  # (N, H, W, channels)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        images = x.permute(0, 2, 3, 1).contiguous()
        output, shape = self._free, (*images.shape[:3], len(weight))
        if output is None or output.shape != shape:
            output = images.new_empty(shape)
        _functions_for(images, output).conv_relu(images, weight, bias, output)
        self._free = images
        return output.permute(0, 3, 1, 2)


def _functions_for(*batches: Tensor) -> ModuleType | compiled.CompiledConvolution:
    """The compiled functions if they take images of these batches (N, H, W, channels), else those in PyTorch."""
    for images in batches:
        if images.shape[-1] % compiled.CHANNEL_MULTIPLE != 0:
            return uncompiled
    functions = compiled.load()
    return uncompiled if functions is None else functions


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        images = x.permute(0, 2, 3, 1).contiguous()
        output = images.new_empty(*images.shape[:3], len(weight))
        _functions_for(images, output).conv_relu(images, weight, bias, output)
        y = output.permute(0, 3, 1, 2)
        ctx.save_for_backward(images, weight, y)
        return y

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, weight, y = ctx.saved_tensors
        output, grad_output = (tensor.permute(0, 2, 3, 1).contiguous() for tensor in (y, grad_y))
        functions = _functions_for(images, output)
        grad_images = torch.empty_like(images)
        functions.input_gradient(grad_output, output, weight, grad_images)
        grad_filter, grad_bias = functions.filter_gradient(images, grad_output, output)
        return grad_images.permute(0, 3, 1, 2), filter_transform_backward(grad_filter), grad_bias
