"""A network in bfloat16, but in float32 the picture on its way through it.

Our networks let RGB travel through channels 0 to 2 of every layer, by weights close to one. Of these and of the
pixels bfloat16 keeps 8 bits, and ten layers add up what is lost: 0.06 to 0.3 dB. So what RGB gets of itself is taken
out of each layer and computed apart, 1/1800 of its products; what the other channels add to it is little, and 8 bits
hold that well. The first layer stays in float32 too: it sees the kernel code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srmd.model import SRMD

RGB = 3


class Bfloat16Network:
    """A network without batch norm, its weights rounded once; SR in float32, by the network's own LR and map."""

    @torch.no_grad()
    def __init__(self, network: SRMD):
        self._network = network
        self._layers = [_InnerLayer(conv) for conv in network.convs[1:]]
        self._head = _without_rgb(network.head, slice(None))

    def __call__(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """LR (N, 3, h, w) and map (N, C, h, w) → SR (N, 3, s·h, s·w)."""
        network = self._network
        x = network.first_layer(lr, degradation_map)  # (N, features, h, w)
        rgb, x = x[:, :RGB], x.bfloat16()
        for layer in self._layers:
            x, rgb = layer(x, rgb)
        if network.config.head == "subpixel":
            of_rgb = F.conv2d(rgb, network.head.weight[:, :RGB], network.head.bias, padding=1)
            return F.pixel_shuffle(F.conv2d(x, self._head, padding=1) + of_rgb, network.config.scale)
        x = x.float()
        x[:, :RGB] = rgb
        return network.apply_head(x)


class _InnerLayer:
    def __init__(self, conv: nn.Conv2d):
        self._weight, self._bias = _without_rgb(conv, slice(RGB)), conv.bias.bfloat16()
        self._of_rgb = conv.weight[:RGB, :RGB]

    def __call__(self, x: Tensor, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Features in bfloat16, and their first three channels in float32."""
        x = F.conv2d(x, self._weight, self._bias, padding=1)
        # bfloat16 and float32 make float32.
        rgb = F.relu(x[:, :RGB] + F.conv2d(rgb, self._of_rgb, padding=1), inplace=True)
        x = F.relu(x, inplace=True)
        x[:, :RGB] = rgb
        return x, rgb


def _without_rgb(conv: nn.Conv2d, outputs: slice) -> Tensor:
    """The weight in bfloat16, 0 for what RGB gives to these outputs."""
    weight = conv.weight.bfloat16()
    weight[outputs, :RGB] = 0
    return weight
