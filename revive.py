"""Features that no picture activates, given new weights to begin anew with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model import SRMD


@torch.no_grad()
def revive(network: SRMD, average: SRMD, lr: Tensor, degradation_map: Tensor, generator: torch.Generator) -> int:
    """Gives features that LR (N, 3, h, w) under its map (N, C, 1, 1) never activates new weights; how many there were.

    Such a feature computes nothing, and as ReLU passes it no gradient it never will: of a network that was trained at
    a high learning rate that can be half. It gets random weights from what is below it, scaled as the other features
    of its layer are, and is active on half of LR; what is above it begins at zero, so that SR stays what it was. The
    network's average gets the same. (Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning",
    ICML 2023, section 4: ReDo.)
    """
    x = torch.cat([lr, degradation_map.expand(-1, -1, *lr.shape[-2:])], 1)
    layers, averages = [*network.convs, network.head], [*average.convs, average.head]
    count = 0
    for index, conv in enumerate(network.convs):
        before = conv(x)  # of ReLU
        dead = before.amax((0, 2, 3)) <= 0
        if dead.any():
            fresh = torch.empty(conv.weight[dead].shape).normal_(generator=generator).to(conv.weight)
            response = F.conv2d(x, fresh, padding=1)
            scale = before[:, ~dead].std((0, 2, 3)).mean() / response.std((0, 2, 3))
            for each in (conv, averages[index]):
                each.weight[dead] = fresh * scale[:, None, None, None]
                each.bias[dead] = -response.mean((0, 2, 3)) * scale
            for above in (layers[index + 1], averages[index + 1]):
                above.weight[:, dead] = 0
            before = conv(x)
            count += int(dead.sum())
        x = F.relu(before)
    return count
