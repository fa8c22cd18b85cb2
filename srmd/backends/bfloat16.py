"""A network in bfloat16 whose RGB channels are computed in float32.

This project's networks pass RGB through channels 0 to 2 of every layer, with weights close to one. bfloat16 has 8
significant bits, and the rounding errors of ten layers add up to a loss of 0.06 to 0.3 dB. So the convolutions from RGB
channels to RGB channels, 1/1800 of all multiplications, are computed in float32. What the other channels add to RGB is
small, and 8 bits suffice for it. The first layer stays in float32 as well, because it reads the kernel code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srmd.model import SRMD

RGB_CHANNELS = 3


class Bfloat16Network:
    """A network without batch norm as a function that returns SR. Its weights are rounded to bfloat16 once."""

    @torch.no_grad()
    def __init__(self, network: SRMD):
        self._network = network
        self._layers = [_InnerLayer(conv) for conv in network.convs[1:]]
        self._head_weight = _weight_without_rgb(network.head, slice(None))

    def __call__(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """Return SR (N, 3, s·h, s·w) of LR (N, 3, h, w) with map (N, C, h, w) or (N, C, 1, 1); all float32."""
        network = self._network
        x = network.first_layer(lr, degradation_map)  # (N, features, h, w)
        rgb, x = x[:, :RGB_CHANNELS], x.bfloat16()
        for layer in self._layers:
            x, rgb = layer(x, rgb)
        if network.config.head == "subpixel":
            from_rgb = F.conv2d(rgb, network.head.weight[:, :RGB_CHANNELS], network.head.bias, padding=1)
            from_others = F.conv2d(x, self._head_weight, padding=1)
            return F.pixel_shuffle(from_others + from_rgb, network.config.scale)
        x = x.float()
        x[:, :RGB_CHANNELS] = rgb
        return network.apply_head(x)


class _InnerLayer:
    """A convolution and ReLU between the first layer and the head."""

    def __init__(self, conv: nn.Conv2d):
        self._weight, self._bias = _weight_without_rgb(conv, slice(RGB_CHANNELS)), conv.bias.bfloat16()
        self._rgb_weight = conv.weight[:RGB_CHANNELS, :RGB_CHANNELS]

    def __call__(self, x: Tensor, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return all features (N, features, h, w) in bfloat16, and RGB (N, 3, h, w) in float32 as well."""
        x = F.conv2d(x, self._weight, self._bias, padding=1)
        from_rgb = F.conv2d(rgb, self._rgb_weight, padding=1)
        rgb = F.relu(x[:, :RGB_CHANNELS] + from_rgb, inplace=True)  # bfloat16 + float32 is float32
        x = F.relu(x, inplace=True)
        x[:, :RGB_CHANNELS] = rgb
        return x, rgb


def _weight_without_rgb(conv: nn.Conv2d, outputs: slice) -> Tensor:
    """Return a convolution's weight in bfloat16, with 0 from the RGB channels to the output channels `outputs`."""
    weight = conv.weight.bfloat16()
    weight[outputs, :RGB_CHANNELS] = 0
    return weight
