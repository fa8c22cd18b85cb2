"""The transforms of the Winograd convolution F(6×6, 3×3) in PyTorch (Lavin and Gray, CVPR 2016, sections 4.1 and 4.3).

An image is the feature map of one sample, (H, W, channels). It is divided into tiles of 6×6 output pixels, each
computed from 8×8 input pixels; neighbouring input tiles overlap by two pixels. A function works on one strip: `rows`
rows of tiles from row `first` on, T tiles in all. The input transform turns the 8×8 pixels of one channel of a tile
into 64 values, the filter transform turns 3×3 weights into 64 values, and the product multiplies these value by value
and adds over the channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

OUTPUT_TILE = 6  # output pixels of a tile on each axis
INPUT_TILE = 8  # input pixels of a tile on each axis: OUTPUT_TILE + 3 - 1

# The matrices Bᵀ, G and Aᵀ of Lavin and Gray for one axis, for the points 0, ±1, ±2, ±1/2 and infinity.
B_T = torch.tensor(
    [
        [4, 0, -21, 0, 21, 0, -4, 0],
        [0, 4, 4, -17, -17, 4, 4, 0],
        [0, -4, 4, 17, -17, -4, 4, 0],
        [0, 2, 1, -10, -5, 8, 4, 0],
        [0, -2, 1, 10, -5, -8, 4, 0],
        [0, 8, 16, -10, -20, 2, 4, 0],
        [0, -8, 16, 10, -20, -2, 4, 0],
        [0, -4, 0, 21, 0, -21, 0, 4],
    ]
).div(4)
G = torch.tensor(
    [
        [90, 0, 0],
        [-20, -20, -20],
        [-20, 20, -20],
        [1, 2, 4],
        [1, -2, 4],
        [64, 32, 16],
        [64, -32, 16],
        [0, 0, 90],
    ]
).div(90)
A_T = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
        [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
        [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
        [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
        [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
    ]
)
# The matrices for both axes at once. They act on row-major vectors: pixel (i, j) of an input tile is entry 8·i + j.
B_T_2D = torch.kron(B_T, B_T)  # (64, 64)
G_2D = torch.kron(G, G)  # (64, 9)
A_T_2D = torch.kron(A_T, A_T)  # (36, 64)


def filter_transform(weight: Tensor) -> Tensor:
    """Return G g Gᵀ of each filter g: weight (K, C, 3, 3) → (64, C, K)."""
    out_channels, in_channels = weight.shape[:2]
    columns = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (G_2D @ columns).view(INPUT_TILE**2, in_channels, out_channels)


def filter_transform_backward(grad_transformed_filter: Tensor) -> Tensor:
    """Return the gradient of the weight, (K, C, 3, 3), from that of the transformed filter, (64, C, K)."""
    _, in_channels, out_channels = grad_transformed_filter.shape
    columns = G_2D.T @ grad_transformed_filter.view(INPUT_TILE**2, -1)
    return columns.view(3, 3, in_channels, out_channels).permute(3, 2, 0, 1)


def input_transform(image: Tensor, first: int, rows: int) -> Tensor:
    """Return Bᵀ d B of each input tile d of a strip: image (H, W, C) → (64, T, C). Pixels outside the image are 0."""
    height, width, channels = image.shape
    top, bottom = OUTPUT_TILE * first - 1, OUTPUT_TILE * (first + rows) + 1
    strip = image[max(top, 0) : bottom]
    strip = F.pad(strip, (0, 0, 1, -width % OUTPUT_TILE + 1, max(-top, 0), max(bottom - height, 0)))
    columns = _view_as_tiles(strip, INPUT_TILE).reshape(INPUT_TILE**2, -1)
    return (B_T_2D @ columns).view(INPUT_TILE**2, -1, channels)


def output_transform(product: Tensor, output: Tensor, first: int, rows: int) -> None:
    """Write Aᵀ m A of each tile m of the product (64, T, K) to a strip of `output` (H, W, K)."""
    _, width, channels = output.shape
    tiles = (A_T_2D @ product.view(INPUT_TILE**2, -1)).view(OUTPUT_TILE, OUTPUT_TILE, rows, -1, channels)
    pixels = tiles.permute(2, 0, 3, 1, 4).reshape(OUTPUT_TILE * rows, -1, channels)
    strip = output[OUTPUT_TILE * first : OUTPUT_TILE * (first + rows)]
    strip.copy_(pixels[: len(strip), :width])


def output_transform_backward(grad_output: Tensor, first: int, rows: int) -> Tensor:
    """Return the gradient of the product, (64, T, K), from that of the output, (H, W, K), over a strip."""
    gradient = grad_output[OUTPUT_TILE * first : OUTPUT_TILE * (first + rows)]
    height, width, channels = gradient.shape
    gradient = F.pad(gradient, (0, 0, 0, -width % OUTPUT_TILE, 0, OUTPUT_TILE * rows - height))
    columns = _view_as_tiles(gradient, OUTPUT_TILE).reshape(OUTPUT_TILE**2, -1)
    return (A_T_2D.T @ columns).view(INPUT_TILE**2, -1, channels)


def _view_as_tiles(image: Tensor, size: int) -> Tensor:
    """View a padded image as its tiles of size×size pixels: (size, size, rows of tiles, columns of tiles, channels).

    A tile begins every six pixels; tiles of eight pixels overlap.
    """
    height, width, channels = image.shape
    row, column, channel = image.stride()
    shape = (size, size, height // OUTPUT_TILE, width // OUTPUT_TILE, channels)
    return image.as_strided(shape, (row, column, OUTPUT_TILE * row, OUTPUT_TILE * column, channel))
