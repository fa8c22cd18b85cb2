"""A network in bfloat16, but in float32 the picture on its way through it.

Our networks let RGB travel through channels 0 to 2 of every layer, by weights close to one. Of these and of the
pixels bfloat16 keeps 8 bits, and ten layers add up what is lost: 0.06 to 0.3 dB. So what RGB gets of itself is taken
out of each layer and computed apart, 1/1800 of its products; what the other channels add to it is little, and 8 bits
hold that well. The first layer stays in float32 too: it sees the kernel code.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from model import SRMD

RGB = 3


def in_bfloat16(network: SRMD, lr: Tensor, degradation_map: Tensor) -> Tensor:
    """What a network without batch norm computes, in float32; nothing is learnt by it."""
    x = network.first(lr, degradation_map)  # (N, features, h, w)
    rgb, x = x[:, :RGB], x.bfloat16()
    for conv in network.convs[1:]:
        x, rgb = _layer(conv, x, rgb)
    if network.config.head == "subpixel":
        return F.pixel_shuffle(_without_rgb(network.head, x) + _of_rgb(network.head, rgb), network.config.scale)
    x = x.float()
    x[:, :RGB] = rgb
    return network.restored(x)


def _layer(conv: nn.Conv2d, x: Tensor, rgb: Tensor) -> tuple[Tensor, Tensor]:
    weight = conv.weight.bfloat16()
    weight[:RGB, :RGB] = 0
    x = F.conv2d(x, weight, conv.bias.bfloat16(), padding=1)
    # bfloat16 and float32 make float32.
    rgb = F.relu(x[:, :RGB] + F.conv2d(rgb, conv.weight[:RGB, :RGB], padding=1), inplace=True)
    x = F.relu(x, inplace=True)
    x[:, :RGB] = rgb
    return x, rgb


def _without_rgb(conv: nn.Conv2d, x: Tensor) -> Tensor:
    weight = conv.weight.bfloat16()
    weight[:, :RGB] = 0
    return F.conv2d(x, weight, padding=1)


def _of_rgb(conv: nn.Conv2d, rgb: Tensor) -> Tensor:
    return F.conv2d(rgb, conv.weight[:, :RGB], conv.bias, padding=1)
