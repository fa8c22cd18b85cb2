"""The filter transform of the Winograd convolution F(6×6, 3×3), and its gradient.

It turns the 3×3 weights of a filter into 64 values (Lavin and Gray, CVPR 2016, section 4). The other transforms, of
tiles, are in transforms.h.
"""

import torch
from torch import Tensor

OUTPUT_TILE = 6  # output pixels of a tile on each axis
INPUT_TILE = 8  # input pixels of a tile on each axis: OUTPUT_TILE + 3 - 1

# The matrix G of Lavin and Gray for one axis, for the points 0, ±1, ±2, ±1/2 and infinity.
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
G_2D = torch.kron(G, G)  # (64, 9), for both axes; acts on row-major vectors: weight (i, j) of a filter is entry 3·i + j


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
