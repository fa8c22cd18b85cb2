"""The inner layers in bfloat16, and in float32 the picture on its way through them.

Trained networks let RGB travel through channels 0 to 2 of every layer with weights close to one. Of these and of the
pixels bfloat16 keeps 8 bits, and ten layers add up what is lost: 0.06 to 0.3 dB. So these three channels' own 3×3×3×3
weights are taken out and computed apart, which is 1/1800 of a layer; to what is left the rest of the network only adds
a little, which 8 bits hold well.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

RGB = 3


def inner_in_bfloat16(x: Tensor, convs: Iterable[nn.Conv2d]) -> Tensor:
    """Convolutions with ReLU on features of float32, (N, C, h, w) → (N, C, h, w); nothing is learnt by it."""
    rgb, x = x[:, :RGB], x.bfloat16()
    for conv in convs:
        own, weight = conv.weight[:RGB, :RGB], conv.weight.bfloat16()
        weight[:RGB, :RGB] = 0
        x = F.conv2d(x, weight, conv.bias.bfloat16(), padding=1)
        rgb = F.relu(x[:, :RGB] + F.conv2d(rgb, own, padding=1), inplace=True)  # bfloat16 and float32: float32
        x = F.relu(x, inplace=True)
        x[:, :RGB] = rgb
    x = x.float()
    x[:, :RGB] = rgb
    return x
