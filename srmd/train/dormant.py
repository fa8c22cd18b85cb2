"""Finds dormant features, which are 0 at every pixel of a batch, and gives them new weights (ReDo)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, network_input


@torch.no_grad()
def dormant_features(network: SRMD, lr: Tensor, degradation_map: Tensor) -> list[Tensor]:
    """Return for each layer except the head which of its features are dormant, as a boolean tensor (features,).

    A feature is dormant if it is 0 at every pixel of LR (N, 3, h, w) with map (N, C, 1, 1).
    """
    x, dormant = network_input(lr, degradation_map), []
    for _, conv, relu in network.chain():
        if relu:
            x = F.relu(conv(x))
            dormant.append(x.amax((0, 2, 3)) == 0)
    return dormant


@torch.no_grad()
def reset_dormant_features(
    network: SRMD,
    average: SRMD,
    dormant: list[Tensor],
    lr: Tensor,
    degradation_map: Tensor,
    generator: torch.Generator,
) -> None:
    """Give dormant features of a network without batch norm, and of its moving average, new weights.

    ReLU passes no gradient to a dormant feature, so it would never learn again. Its new weights are random (He et al.,
    ICCV 2015, equation 10), with a bias that makes it active at about half of the pixels of LR (N, 3, h, w) with its
    map. The next layer's weights for this feature become 0, so that SR does not change. (Sokar et al., "The
    Dormant Neuron Phenomenon in Deep Reinforcement Learning", ICML 2023, section 4: ReDo.)
    """
    x = network_input(lr, degradation_map)
    convs, average_convs = ([layer.conv for layer in each.chain()] for each in (network, average))
    for index, features in enumerate(dormant):
        if features.any():
            weight = torch.empty(convs[index].weight[features].shape).normal_(generator=generator).to(x)
            weight *= math.sqrt(2 / weight[0].numel())
            bias = -F.conv2d(x, weight, padding=1).mean((0, 2, 3))
            for conv in (convs[index], average_convs[index]):
                conv.weight[features], conv.bias[features] = weight, bias
            for next_conv in (convs[index + 1], average_convs[index + 1]):
                next_conv.weight[:, features] = 0
        x = F.relu(convs[index](x))
