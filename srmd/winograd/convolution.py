"""3×3 convolution with ReLU by Winograd's F(6×6, 3×3), forward and backward.

A tile of 6×6 output pixels takes 64 multiplications per pair of channels instead of 324 (Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks, CVPR 2016, section 4). The tiles are processed strip by strip, so that a
strip's intermediate values stay in the cache. In float32 on CPUs, where multiplications are the bottleneck, this is
faster than a direct convolution.
"""

from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.winograd import compiled, transforms
from srmd.winograd.transforms import INPUT_TILE, OUTPUT_TILE

TILES_PER_STRIP = 96  # about; with more, the intermediate values of two threads exceed the cache
# The index, of 64, at which grad_product holds the sum of grad_output over each tile: column 1 of A_T is all ones.
SUM_INDEX = INPUT_TILE + 1


def conv_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return relu(conv2d(x, weight, bias, padding=1)), differentiable, in float32 on the CPU.

    `x` is (N, C, H, W), fastest in channels-last layout, `weight` (K, C, 3, 3), `bias` (K,), the result (N, K, H, W).
    """
    return _ConvReLU.apply(x, weight, bias)


def conv_relu_(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Overwrite x with relu(conv2d(x, weight, bias, padding=1)) and return it, without gradients.

    `x` is (N, C, H, W), `weight` (C, C, 3, 3), `bias` (C,). Allocating an output for a large image would take nearly
    half as long as the products, because the system clears new memory.
    """
    images = x.permute(0, 2, 3, 1)
    functions = _functions_for(images)
    transformed_filter = functions.filter_transform(weight)
    for image in images:
        transformed_input = functions.input_transform(image, *next(_strips(image)))
        for strip, next_strip in pairwise([*_strips(image), None]):
            product = functions.multiply(transformed_input, transformed_filter)
            if next_strip is not None:  # before output_transform overwrites the row of pixels above the next strip
                transformed_input = functions.input_transform(image, *next_strip)
            functions.output_transform(product, bias, image, *strip)
    return x


def _functions_for(*batches: Tensor) -> compiled.CompiledTransforms | ModuleType:
    """The compiled functions if they take images of these batches (N, H, W, channels), else those of transforms.py."""
    for images in batches:
        if not images.is_contiguous() or images.shape[-1] % compiled.CHANNEL_MULTIPLE != 0:
            return transforms
    functions = compiled.load()
    return transforms if functions is None else functions


def _strips(image: Tensor) -> Iterator[tuple[int, int]]:
    """The strips of an image (H, W, channels): first row of tiles and number of rows. All are about equally high."""
    height, width, _ = image.shape
    rows, columns = ceil_div(height, OUTPUT_TILE), ceil_div(width, OUTPUT_TILE)
    max_rows = max(TILES_PER_STRIP // columns, 1)
    rows_per_strip = ceil_div(rows, ceil_div(rows, max_rows))
    for first in range(0, rows, rows_per_strip):
        yield first, min(rows_per_strip, rows - first)


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        images = x.permute(0, 2, 3, 1).contiguous()
        outputs = images.new_empty(*images.shape[:3], len(weight))
        functions = _functions_for(images, outputs)
        transformed_filter = functions.filter_transform(weight)
        for image, output in zip(images, outputs, strict=True):
            for strip in _strips(image):
                product = functions.multiply(functions.input_transform(image, *strip), transformed_filter)
                functions.output_transform(product, bias, output, *strip)
        y = outputs.permute(0, 3, 1, 2)
        ctx.save_for_backward(images, weight, y)
        return y

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images, weight, y = ctx.saved_tensors
        out_channels, in_channels = weight.shape[:2]
        outputs = y.permute(0, 2, 3, 1).contiguous()
        grad_outputs = grad_y.permute(0, 2, 3, 1).contiguous()
        grad_images, grad_bias = torch.zeros_like(images), grad_y.new_zeros(out_channels)
        grad_transformed_filter = grad_y.new_zeros(INPUT_TILE**2, in_channels, out_channels)
        functions = _functions_for(grad_images, outputs)
        # The product's backward with respect to its input multiplies by the transposed filter.
        transposed_filter = functions.filter_transform(weight.transpose(0, 1))
        for image, output, grad_output, grad_image in zip(images, outputs, grad_outputs, grad_images, strict=True):
            for strip in _strips(output):
                grad_product = functions.output_transform_backward(grad_output, output, *strip)
                grad_bias += grad_product[SUM_INDEX].sum(0)
                transformed_input = functions.input_transform(image, *strip)
                functions.filter_gradient(transformed_input, grad_product, grad_transformed_filter)
                grad_transformed_input = functions.multiply(grad_product, transposed_filter)
                functions.input_transform_backward(grad_transformed_input, grad_image, *strip)
        grad_weight = transforms.filter_transform_backward(grad_transformed_filter)
        return grad_images.permute(0, 3, 1, 2), grad_weight, grad_bias
