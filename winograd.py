"""3×3 convolution with ReLU in fewer multiplications: Winograd's F(4×4, 3×3), forward and backward.

Each tile of 4×4 results costs 36 products per pair of channels instead of 144 (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, CVPR 2016, section 4). The products are matrix products, a strip of tiles at a time, so
that all between reading and writing a strip stays in the cache. It pays in float32 on CPUs, where products are dear.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4  # results of a tile on each axis, which
SEEN = 6  # pixels on each axis decide
STRIP = 256  # tiles at a time, about: of 50 to 800 the fastest

# The paper's Bᵀ, G and Aᵀ for one axis.
INPUT = torch.tensor([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]])
INPUT = torch.cat([INPUT, torch.tensor([[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])]).float()
KERNEL = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
OUTPUT = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]).float()
# For both axes at once; row (i, j) is 6·i + j.
INPUT, KERNEL, OUTPUT = torch.kron(INPUT, INPUT), torch.kron(KERNEL, KERNEL), torch.kron(OUTPUT, OUTPUT)
ALL_ONES = 7  # the column of OUTPUT that is: what is added there is added to every result


def conv_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(conv2d(x, weight, bias, padding=1)) in float32 on the CPU; (N, C, H, W) channels last, (K, C, 3, 3)."""
    return _ConvReLU.apply(x, weight, bias)


def conv_relu_(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in x's own memory, as many channels out as in; nothing is learnt by it.

    New memory for the features of a large picture costs nearly half as much as the products: the system clears it.
    """
    products = _products(weight)
    for picture in x.permute(0, 2, 3, 1):
        for top, tiles in _seen(picture):
            result = _results(_transformed(tiles), products, bias).view(TILE, TILE, *tiles.shape[2:])
            _put(result, picture[top : top + TILE * tiles.shape[2]])
    return x


def _products(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) → (36, C, K)."""
    return (KERNEL @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(SEEN**2, *weight.shape[1::-1])


def _transformed(tiles: Tensor) -> Tensor:
    """(6, 6, h, w, C) → (36, h·w, C)."""
    return (INPUT @ tiles.reshape(SEEN**2, -1)).view(SEEN**2, -1, tiles.shape[-1])


def _results(transformed: Tensor, products: Tensor, bias: Tensor) -> Tensor:
    """(36, h·w, C) → (16, h·w·K)."""
    product = torch.bmm(transformed, products)
    product[ALL_ONES] += bias
    return (OUTPUT @ product.view(SEEN**2, -1)).relu_()


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        count, _, height, width = x.shape
        products = _products(weight)
        result = x.new_empty(count, *_tiled(height, width), len(weight))
        seen = []
        for picture, out in zip(x.permute(0, 2, 3, 1), result, strict=True):
            for tiles, target in zip(_strips(_padded(picture), SEEN), _strips(out, TILE), strict=True):
                seen.append(_transformed(tiles))
                target.copy_(_results(seen[-1], products, bias).view(target.shape))
        result = result[:, :height, :width].permute(0, 3, 1, 2)
        ctx.save_for_backward(products, result, *seen)
        return result

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        products, result, *seen = ctx.saved_tensors
        _, channels, features = products.shape
        count, _, height, width = gradient.shape
        gradient = torch.ops.aten.threshold_backward(gradient, result, 0).permute(0, 2, 3, 1)
        rows, columns = _tiled(height, width)
        gradient = F.pad(gradient, (0, 0, 0, columns - width, 0, rows - height))
        of_products, of_bias = torch.zeros_like(products), gradient.new_zeros(features)
        of_x = gradient.new_zeros(count, rows + 2, columns + 2, channels)
        seen = iter(seen)
        for given, back in zip(gradient, of_x, strict=True):
            for tiles, target in zip(_strips(given, TILE), _strips(back, SEEN), strict=True):
                product = (OUTPUT.T @ tiles.reshape(TILE**2, -1)).view(SEEN**2, -1, features)
                of_bias += product[ALL_ONES].sum(0)
                of_products.baddbmm_(next(seen).mT, product)
                transformed = torch.bmm(product, products.mT).view(SEEN**2, -1)
                _add_overlapping(target, (INPUT.T @ transformed).view(target.shape))
        of_weight = (KERNEL.T @ of_products.view(SEEN**2, -1)).view(3, 3, channels, features).permute(3, 2, 0, 1)
        return of_x[:, 1 : height + 1, 1 : width + 1].permute(0, 3, 1, 2), of_weight, of_bias


def _tiled(height: int, width: int) -> tuple[int, int]:
    """The size in whole tiles."""
    return -(-height // TILE) * TILE, -(-width // TILE) * TILE


def _padded(picture: Tensor) -> Tensor:
    """(H, W, C) with a border of one zero, and at the right and the bottom enough of them for whole tiles."""
    height, width, _ = picture.shape
    rows, columns = _tiled(height, width)
    return F.pad(picture, (0, 0, 1, columns - width + 1, 1, rows - height + 1))


def _tiles(picture: Tensor, size: int) -> Tensor:
    """A picture (H, W, C) as a view (size, size, h, w, C): all pixels of its tiles.

    Tiles begin every four pixels; those of six overlap.
    """
    row, column, channel = picture.stride()
    rows, columns = picture.shape[0] // TILE, picture.shape[1] // TILE
    return picture.as_strided(
        (size, size, rows, columns, picture.shape[2]), (row, column, TILE * row, TILE * column, channel)
    )


def _strips(picture: Tensor, size: int) -> tuple[Tensor, ...]:
    """The tiles of a picture, a strip of them at a time."""
    tiles = _tiles(picture, size)
    return tiles.split(max(STRIP // tiles.shape[3], 1), 2)


def _seen(picture: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The first row of each strip of a picture (H, W, C), and what its tiles see: (6, 6, h, w, C).

    Copied, with zeros behind the borders, so that the strip may be overwritten before the next one is asked for.
    """
    height, width, channels = picture.shape
    rows, columns = _tiled(height, width)
    strips = -(-rows // (TILE * max(STRIP * TILE // columns, 1)))
    step = TILE * -(-rows // (TILE * strips))
    strip = picture.new_zeros(step + 2, columns + 2, channels)
    tiles = _tiles(strip, SEEN)
    for top in range(0, height, step):
        given = picture[top : top + step + 1]
        strip[1 : len(given) + 1, 1 : width + 1] = given
        strip[len(given) + 1 :] = 0
        yield top, tiles
        strip[0] = strip[step]


def _put(tiles: Tensor, target: Tensor) -> None:
    """Writes (4, 4, h, w, C) to a strip (H, W, C), and leaves out what is behind its borders."""
    height, width, channels = target.shape
    *_, rows, columns, _ = tiles.shape
    if (height, width) == (TILE * rows, TILE * columns):
        _tiles(target, TILE).copy_(tiles)
    else:
        whole = tiles.permute(2, 0, 3, 1, 4).reshape(TILE * rows, TILE * columns, channels)
        target.copy_(whole[:height, :width])


def _add_overlapping(target: Tensor, tiles: Tensor) -> None:
    """Adds tiles of six pixels to a view of them, in four parts none of which overlaps itself."""
    for rows in (slice(TILE), slice(TILE, SEEN)):
        for columns in (slice(TILE), slice(TILE, SEEN)):
            target[rows, columns] += tiles[rows, columns]
