"""Builds one degradation into a network, which then takes nothing but the LR picture."""

import torch
from torch import Tensor


def baking_convolution(degradation_map: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (3 + C, 3, 3, 3) and bias (3 + C,) of a convolution that turns LR into the network's input.

    It copies LR and appends the map (1, C, 1, 1) as constants, so that the network behind it computes what it computes
    from LR and the map, at the border too. Folding the map into the bias of the network's first layer would be wrong
    there, by more than 30 of 255 levels, because the network pads the map with zeros.
    """
    channels = degradation_map.shape[1]
    weight, rgb = torch.zeros(3 + channels, 3, 3, 3), range(3)
    weight[rgb, rgb, 1, 1] = 1
    return weight, torch.cat([torch.zeros(3), degradation_map.flatten()])
