"""The Winograd convolution in PyTorch, slower than `compiled.py`, for machines without GCC.

Images are (N, H, W, channels). A strip of tiles is computed at a time, so that its
intermediate values stay in the cache.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from srmd.base.arithmetic import ceil_div
from srmd.winograd.transforms import (
    INPUT_TILE,
    OUTPUT_TILE,
    filter_transform,
    input_transform,
    output_transform,
    output_transform_backward,
)

CHANNEL_MULTIPLE = 1  # the functions take multiples of this many channels
TILES_PER_STRIP = 96  # about; with more, the intermediate values of two threads exceed the cache


def conv(images: Tensor, transformed_filter: Tensor, bias: Tensor, relu: bool, output: Tensor) -> None:
    """Write the convolution of the images, (N, H, W, C), + bias, (K,), with ReLU if asked for, to `output`.

    `transformed_filter` is the result of `filter_transform`, (64, C, K); `output` is (N, H, W, K).
    """
    _convolve(images, transformed_filter, output)
    output.add_(bias)
    if relu:
        output.relu_()


def input_gradient(grad_output: Tensor, output: Tensor | None, weight: Tensor, grad_images: Tensor) -> None:
    """Write the gradient of the images, (N, H, W, C), from that of the output of `conv`, (N, H, W, K).

    `output` is that of a convolution with ReLU, None without. The gradient is the convolution of the gradient before
    ReLU with the filters rotated by 180°.
    """
    rotated = filter_transform(weight.transpose(0, 1).flip(2, 3))
    _convolve(_before_relu(grad_output, output), rotated, grad_images)


def filter_gradient(images: Tensor, grad_output: Tensor, output: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the gradients of the transformed filter, (64, C, K), and of the bias, (K,).

    `output` is that of a convolution with ReLU, None without.
    """
    gradients = _before_relu(grad_output, output)
    grad_filter = images.new_zeros(INPUT_TILE**2, images.shape[3], grad_output.shape[3])
    for image, gradient in zip(images, gradients, strict=True):
        for strip in _strips(image):
            grad_product = output_transform_backward(gradient, *strip)
            grad_filter.baddbmm_(input_transform(image, *strip).mT, grad_product)
    return grad_filter, gradients.sum((0, 1, 2))


def _convolve(images: Tensor, transformed_filter: Tensor, output: Tensor) -> None:
    for image, its_output in zip(images, output, strict=True):
        for strip in _strips(image):
            product = torch.bmm(input_transform(image, *strip), transformed_filter)
            output_transform(product, its_output, *strip)


def _before_relu(grad_output: Tensor, output: Tensor | None) -> Tensor:
    if output is None:
        return grad_output
    return torch.ops.aten.threshold_backward(grad_output, output, 0)


def _strips(image: Tensor) -> Iterator[tuple[int, int]]:
    """The strips of an image (H, W, channels): first row of tiles and number of rows. All are about equally high."""
    height, width, _ = image.shape
    rows, columns = ceil_div(height, OUTPUT_TILE), ceil_div(width, OUTPUT_TILE)
    max_rows = max(TILES_PER_STRIP // columns, 1)
    rows_per_strip = ceil_div(rows, ceil_div(rows, max_rows))
    for first in range(0, rows, rows_per_strip):
        yield first, min(rows_per_strip, rows - first)
