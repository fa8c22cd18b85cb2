"""Features that are silent on every patch tried, given new weights to begin anew with."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from model import SRMD


@torch.no_grad()
def silent_features(network: SRMD, lr: Tensor, degradation_map: Tensor) -> list[Tensor]:
    """For each layer but the head, which features no pixel of LR (N, 3, h, w) under its map (N, C, 1, 1) activates."""
    x, silent = network.seen(lr, degradation_map), []
    for conv in network.convs:
        x = F.relu(conv(x))
        silent.append(x.amax((0, 2, 3)) == 0)
    return silent


@torch.no_grad()
def revive(
    network: SRMD,
    average: SRMD,
    silent: list[Tensor],
    lr: Tensor,
    degradation_map: Tensor,
    generator: torch.Generator,
) -> None:
    """Gives silent features of a network without batch norm, and of its average, new weights.

    A feature that is always silent computes nothing, and as ReLU passes it no gradient it never will. Its new weights
    are random (He et al., ICCV 2015, equation 10), and its bias makes it active on about half of the pixels of LR
    (N, 3, h, w) under its map. What is above it begins at zero, so that the network's SR stays what it was. (Sokar et
    al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", ICML 2023, section 4: ReDo.)
    """
    x = network.seen(lr, degradation_map)
    layers, averages = [*network.convs, network.head], [*average.convs, average.head]
    for index, them in enumerate(silent):
        if them.any():
            fresh = torch.empty(layers[index].weight[them].shape).normal_(generator=generator).to(x)
            fresh *= math.sqrt(2 / fresh[0].numel())
            bias = -F.conv2d(x, fresh, padding=1).mean((0, 2, 3))
            for conv in (layers[index], averages[index]):
                conv.weight[them], conv.bias[them] = fresh, bias
            for above in (layers[index + 1], averages[index + 1]):
                above.weight[:, them] = 0
        x = F.relu(layers[index](x))
