"""Dormant features, which are 0 on every patch tried: found, and given new weights (ReDo)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, network_input


@torch.no_grad()
def dormant_features(network: SRMD, lr: Tensor, degradation_map: Tensor) -> list[Tensor]:
    """For each layer but the head, which features no pixel of LR (N, 3, h, w) under its map (N, C, 1, 1) activates."""
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
    """Gives dormant features of a network without batch norm, and of its average, new weights.

    A dormant feature computes nothing, and as ReLU passes it no gradient it never will. Its new weights are random (He
    et al., ICCV 2015, equation 10), and its bias makes it active on about half of the pixels of LR (N, 3, h, w) under
    its map. The weights of the next layer that read it begin at zero, so that the network's SR stays what it was.
    (Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", ICML 2023, section 4: ReDo.)
    """
    x = network_input(lr, degradation_map)
    convs, averages = ([layer.conv for layer in each.chain()] for each in (network, average))
    for index, features in enumerate(dormant):
        if features.any():
            fresh = torch.empty(convs[index].weight[features].shape).normal_(generator=generator).to(x)
            fresh *= math.sqrt(2 / fresh[0].numel())
            bias = -F.conv2d(x, fresh, padding=1).mean((0, 2, 3))
            for conv in (convs[index], averages[index]):
                conv.weight[features], conv.bias[features] = fresh, bias
            for following in (convs[index + 1], averages[index + 1]):
                following.weight[:, features] = 0
        x = F.relu(convs[index](x))
