"""3×3 convolution with ReLU in fewer multiplications: Winograd's F(6×6, 3×3), forward and backward.

Each tile of 6×6 results costs 64 products per pair of channels instead of 324 (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, CVPR 2016, section 4). The products are matrix products, a strip of tiles at a time, so
that all between reading and writing a strip stays in the cache. It pays in float32 on CPUs, where products are dear.
"""

from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

from srmd.winograd import compiled, transforms
from srmd.winograd.transforms import KERNEL, SEEN, TILE

STRIP = 96  # tiles at a time, about: with more, what two cores work on leaves the cache
ALL_ONES = SEEN + 1  # the product whose gradient is that of the sum of a tile's results


def conv_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(conv2d(x, weight, bias, padding=1)) in float32 on the CPU; (N, C, H, W) channels last, (K, C, 3, 3)."""
    return _ConvReLU.apply(x, weight, bias)


def conv_relu_(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in x's own memory, as many channels out as in; nothing is learnt by it.

    New memory for the features of a large picture costs nearly half as much as the products: the system clears it.
    """
    pictures = x.permute(0, 2, 3, 1)
    functions = _transforms_for(pictures)
    factors = functions.factors(weight)
    for picture in pictures:
        waiting = functions.seen(picture, *next(_strips(picture)))
        for strip, following in pairwise([*_strips(picture), None]):
            product = functions.multiply(waiting, factors)
            if following:  # sees what is overwritten now
                waiting = functions.seen(picture, *following)
            functions.put_results(product, bias, picture, *strip)
    return x


def _transforms_for(*pictures: Tensor) -> compiled.Transforms | ModuleType:
    """transforms.py, or the same compiled where that can be used."""
    usable = all(picture.is_contiguous() and picture.shape[-1] % compiled.MULTIPLE == 0 for picture in pictures)
    return (usable and compiled.load()) or transforms


def _strips(picture: Tensor) -> Iterator[tuple[int, int]]:
    """The first row and the rows of tiles of each strip of a picture (H, W, C), all about as high."""
    height, width, _ = picture.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    strips = -(-rows // max(STRIP // columns, 1))
    step = -(-rows // strips)
    for first in range(0, rows, step):
        yield first, min(step, rows - first)


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        pictures = x.permute(0, 2, 3, 1).contiguous()
        results = pictures.new_empty(*pictures.shape[:3], len(weight))
        functions = _transforms_for(pictures, results)
        factors = functions.factors(weight)
        for picture, result in zip(pictures, results, strict=True):
            for strip in _strips(picture):
                product = functions.multiply(functions.seen(picture, *strip), factors)
                functions.put_results(product, bias, result, *strip)
        results = results.permute(0, 3, 1, 2)
        ctx.save_for_backward(pictures, weight, results)
        return results

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pictures, weight, results = ctx.saved_tensors
        features, channels = weight.shape[:2]
        gradients, results = (tensor.permute(0, 2, 3, 1).contiguous() for tensor in (gradient, results))
        of_factors = gradient.new_zeros(SEEN**2, channels, features)
        of_bias, of_pictures = gradient.new_zeros(features), torch.zeros_like(pictures)
        functions = _transforms_for(of_pictures, results)
        transposed = functions.factors(weight.transpose(0, 1))
        for picture, given, result, back in zip(pictures, gradients, results, of_pictures, strict=True):
            for strip in _strips(result):
                of_product = functions.of_product(given, result, *strip)
                of_bias += of_product[ALL_ONES].sum(0)
                functions.add_of_factors(functions.seen(picture, *strip), of_product, of_factors)
                functions.add_seen(functions.multiply(of_product, transposed), back, *strip)
        of_weight = (KERNEL.T @ of_factors.view(SEEN**2, -1)).view(3, 3, channels, features).permute(3, 2, 0, 1)
        return of_pictures.permute(0, 3, 1, 2), of_weight, of_bias
