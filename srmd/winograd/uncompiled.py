"""The Winograd convolution in PyTorch, slower than `compiled.py`: for machines without GCC, and any number of channels.

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

TILES_PER_STRIP = 96  # about; with more, the intermediate values of two threads exceed the cache


def conv_relu(images: Tensor, weight: Tensor, bias: Tensor, output: Tensor) -> None:
    """Write relu(convolution of the images, (N, H, W, C), + bias) to `output`, (N, H, W, K).

    `weight` is (K, C, 3, 3), `bias` (K,).
    """
    _convolve(images, weight, output)
    output.add_(bias).relu_()


def input_gradient(grad_output: Tensor, output: Tensor, weight: Tensor, grad_images: Tensor) -> None:
    """Write the gradient of the images, (N, H, W, C), from that of the output of `conv_relu`, (N, H, W, K).

    It is the convolution of the gradient before ReLU with the filters rotated by 180°.
    """
    _convolve(_before_relu(grad_output, output), weight.transpose(0, 1).flip(2, 3), grad_images)


def filter_gradient(images: Tensor, grad_output: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of the transformed filter, (64, C, K), and of the bias, (K,)."""
    gradients = _before_relu(grad_output, output)
    grad_filter = images.new_zeros(INPUT_TILE**2, images.shape[3], output.shape[3])
    for image, gradient in zip(images, gradients, strict=True):
        for strip in _strips(image):
            grad_product = output_transform_backward(gradient, *strip)
            grad_filter.baddbmm_(input_transform(image, *strip).mT, grad_product)
    return grad_filter, gradients.sum((0, 1, 2))


def _convolve(images: Tensor, weight: Tensor, output: Tensor) -> None:
    transformed_filter = filter_transform(weight)
    for image, its_output in zip(images, output, strict=True):
        for strip in _strips(image):
            product = torch.bmm(input_transform(image, *strip), transformed_filter)
            output_transform(product, its_output, *strip)


def _before_relu(grad_output: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(grad_output, output, 0)


def _strips(image: Tensor) -> Iterator[tuple[int, int]]:
    """The strips of an image (H, W, channels): first row of tiles and number of rows. All are about equally high."""
    height, width, _ = image.shape
    rows, columns = ceil_div(height, OUTPUT_TILE), ceil_div(width, OUTPUT_TILE)
    max_rows = max(TILES_PER_STRIP // columns, 1)
    rows_per_strip = ceil_div(rows, ceil_div(rows, max_rows))
    for first in range(0, rows, rows_per_strip):
        yield first, min(rows_per_strip, rows - first)
