"""The parts of Winograd's F(6×6, 3×3) (Lavin and Gray, CVPR 2016, section 4), in PyTorch.

A picture is (H, W, C), and is cut into tiles of 6×6; what a tile sees is 8×8. The functions of pictures do `rows` rows
of tiles from the `first`-th on, T tiles in all. `compiled.py` has the same functions, faster, where there is GCC.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 6  # results of a tile on each axis, which
SEEN = 8  # pixels on each axis decide

# Bᵀ, G and Aᵀ for one axis, of polynomials' values at 0, ±1, ±2, ±1/2 and infinity.
INPUT = [[4, 0, -21, 0, 21, 0, -4, 0], [0, 4, 4, -17, -17, 4, 4, 0], [0, -4, 4, 17, -17, -4, 4, 0]]
INPUT += [[0, 2, 1, -10, -5, 8, 4, 0], [0, -2, 1, 10, -5, -8, 4, 0], [0, 8, 16, -10, -20, 2, 4, 0]]
INPUT += [[0, -8, 16, 10, -20, -2, 4, 0], [0, -4, 0, 21, 0, -21, 0, 4]]
KERNEL = [[90, 0, 0], [-20, -20, -20], [-20, 20, -20], [1, 2, 4], [1, -2, 4], [64, 32, 16], [64, -32, 16], [0, 0, 90]]
OUTPUT = [[1, 1, 1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0], [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0]]
OUTPUT += [[0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0], [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0]]
OUTPUT += [[0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1]]
INPUT, KERNEL, OUTPUT = torch.tensor(INPUT) / 4, torch.tensor(KERNEL) / 90, torch.tensor(OUTPUT)
# For both axes at once; row (i, j) is 8·i + j.
INPUT, KERNEL, OUTPUT = torch.kron(INPUT, INPUT), torch.kron(KERNEL, KERNEL), torch.kron(OUTPUT, OUTPUT)


def factors(weight: Tensor) -> Tensor:
    """What multiplies, (64, C, K), of a weight (K, C, 3, 3)."""
    return (KERNEL @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(SEEN**2, *weight.shape[1::-1])


def seen(picture: Tensor, first: int, rows: int) -> Tensor:
    """What is to be multiplied, (64, T, C), of what the tiles see: zeros behind the picture's borders."""
    height, width, channels = picture.shape
    top, bottom = TILE * first - 1, TILE * (first + rows) + 1
    strip = picture[max(top, 0) : bottom]
    strip = F.pad(strip, (0, 0, 1, -width % TILE + 1, max(-top, 0), max(bottom - height, 0)))
    return (INPUT @ _tiles(strip, SEEN).reshape(SEEN**2, -1)).view(SEEN**2, -1, channels)


def multiply(transformed: Tensor, factors: Tensor) -> Tensor:
    """The product (64, T, K) of what the tiles see, (64, T, C), and `factors`."""
    return torch.bmm(transformed, factors)


def put_results(product: Tensor, bias: Tensor, picture: Tensor, first: int, rows: int) -> None:
    """Writes relu(results + bias) of the product (64, T, K) to the picture."""
    _, width, channels = picture.shape
    results = (OUTPUT @ product.view(SEEN**2, -1)).view(TILE, TILE, rows, -1, channels).add_(bias).relu_()
    strip = picture[TILE * first : TILE * (first + rows)]
    strip.copy_(results.permute(2, 0, 3, 1, 4).reshape(TILE * rows, -1, channels)[: len(strip), :width])


def of_product(gradient: Tensor, result: Tensor, first: int, rows: int) -> Tensor:
    """The gradient of the product, (64, T, K), by that of the result of `put_results`."""
    strip = slice(TILE * first, TILE * (first + rows))
    gradient = torch.ops.aten.threshold_backward(gradient[strip], result[strip], 0)
    height, width, channels = gradient.shape
    gradient = F.pad(gradient, (0, 0, 0, -width % TILE, 0, TILE * rows - height))
    return (OUTPUT.T @ _tiles(gradient, TILE).reshape(TILE**2, -1)).view(SEEN**2, -1, channels)


def add_of_factors(transformed: Tensor, of_product: Tensor, of_factors: Tensor) -> None:
    """Adds to the gradient of the factors, (64, C, K), by that of the product, (64, T, K)."""
    of_factors.baddbmm_(transformed.mT, of_product)


def add_seen(of_transformed: Tensor, picture: Tensor, first: int, rows: int) -> None:
    """Adds to the gradient of a picture, by that of what `seen` makes of it, (64, T, C)."""
    _, width, channels = picture.shape
    strip = picture.new_zeros(TILE * rows + 2, width + -width % TILE + 2, channels)
    tiles = _tiles(strip, SEEN)
    pixels = (INPUT.T @ of_transformed.view(SEEN**2, -1)).view(tiles.shape)
    for i in (slice(TILE), slice(TILE, SEEN)):  # four parts none of which overlaps itself
        for j in (slice(TILE), slice(TILE, SEEN)):
            tiles[i, j] += pixels[i, j]
    top = TILE * first - 1
    part = picture[max(top, 0) : top + len(strip)]
    part += strip[max(-top, 0) :][: len(part), 1 : width + 1]


def _tiles(picture: Tensor, size: int) -> Tensor:
    """A picture in whole tiles as a view (size, size, rows, columns, C): all pixels of its tiles.

    Tiles begin every six pixels; those of eight overlap.
    """
    row, column, channel = picture.stride()
    rows, columns = picture.shape[0] // TILE, picture.shape[1] // TILE
    return picture.as_strided(
        (size, size, rows, columns, picture.shape[2]), (row, column, TILE * row, TILE * column, channel)
    )
