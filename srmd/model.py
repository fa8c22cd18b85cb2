"""The network and its configuration (Zhang et al., CVPR 2018, section 3.3).

The input is the LR picture with the degradation map as further channels. The network has twelve 3×3 convolutions. The
last one belongs to the head, which turns features into HR pixels; the others work on the LR grid.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srmd.config import network_kind

MAX_SCALE = 16  # of a network that is read from a file
# (x, weight, bias, relu) → conv2d(x, weight, bias, padding=1), and then ReLU if `relu`
Conv = Callable[[Tensor, Tensor, Tensor, bool], Tensor]
NetworkFunction = Callable[[Tensor, Tensor], Tensor]  # (LR, degradation map) → SR


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of a network; stored with its weights."""

    scale: int = 2
    head: str = "subpixel"  # the paper's; or "upsample", this project's: bilinear interpolation and a sigmoid
    conditions: tuple[str, ...] = ("kernel", "noise")  # what the degradation map holds, in the order of its channels
    batch_norm: bool = False
    features: int = 128  # channels of the inner layers
    layers: int = 12  # convolutions, the head's included
    kernel_size: int = 15  # side in HR pixels of the kernels that P describes
    pca_dim: int = 15  # length of the kernel code

    @property
    def condition_channels(self) -> dict[str, slice]:
        """The channels of each condition in the degradation map."""
        counts = {"kernel": self.pca_dim, "noise": 1, "jpeg": 3}
        ends = itertools.accumulate(counts[condition] for condition in self.conditions)
        return {name: slice(end - counts[name], end) for name, end in zip(self.conditions, ends, strict=True)}

    @property
    def map_channels(self) -> int:
        """The number of channels of the degradation map."""
        return max(channels.stop for channels in self.condition_channels.values())

    @property
    def kind(self) -> str:
        """The name of the network without its scale, such as SRMDNF."""
        return network_kind(self.conditions)


class Layer(NamedTuple):
    """A convolution of the network."""

    name: str  # in the state dict
    conv: nn.Conv2d
    relu: bool  # whether a ReLU follows


class SRMD(nn.Module):
    """The network SRMD or SRMDNF. Before training it returns approximately the enlarged LR picture."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        channels = [3 + config.map_channels] + [config.features] * (config.layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(channels))
        norm = nn.BatchNorm2d if config.batch_norm else nn.Identity
        self.norms = nn.ModuleList(norm(config.features) for _ in self.convs[1:])  # no batch norm after the first layer
        head_channels = 3 * config.scale**2 if config.head == "subpixel" else 3
        self.head = nn.Conv2d(config.features, head_channels, 3, padding=1)
        _initialise_as_identity(self)

    def forward(self, lr: Tensor, degradation_map: Tensor, conv: Conv | None = None) -> Tensor:
        """LR (N, 3, h, w) and map (N, C, h, w) or (N, C, 1, 1) → SR (N, 3, s·h, s·w), not clipped.

        `conv` computes the convolutions instead of PyTorch, such as `srmd.winograd.convolution.conv`. Raises ValueError
        if it is passed and the network has batch norm.
        """
        if conv is not None:
            return self._forward_with(conv, lr, degradation_map)
        x = self.first_layer(lr, degradation_map)  # (N, features, h, w)
        for layer, norm in zip(self.convs[1:], self.norms, strict=True):
            x = F.relu(norm(layer(x)), inplace=True)
        return self.apply_head(x)

    def _forward_with(self, conv: Conv, lr: Tensor, degradation_map: Tensor) -> Tensor:
        if self.config.batch_norm:
            raise ValueError("conv: expected a network without batch norm, found one that has it")
        x = network_input(lr, degradation_map)
        for layer in self.convs:
            x = conv(x, layer.weight, layer.bias, True)
        return self._as_pixels(x, lambda features: conv(features, self.head.weight, self.head.bias, False))

    def first_layer(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """LR and degradation map → the input of the inner layers, (N, features, h, w)."""
        return F.relu(_in_float32(self.convs[0], network_input(lr, degradation_map)), inplace=True)

    def apply_head(self, x: Tensor) -> Tensor:
        """The output of the inner layers, (N, features, h, w), → SR (N, 3, s·h, s·w)."""
        return self._as_pixels(x, lambda features: _in_float32(self.head, features))

    def _as_pixels(self, x: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
        if self.config.head == "subpixel":
            return F.pixel_shuffle(head(x), self.config.scale)
        x = F.interpolate(x, scale_factor=self.config.scale, mode="bilinear", align_corners=False)
        return torch.sigmoid(head(x))

    def chain(self) -> Iterator[Layer]:
        """Yield all convolutions, from the first layer to the head, without batch norm."""
        for number, conv in enumerate(self.convs):
            yield Layer(f"convs.{number}", conv, relu=True)
        yield Layer("head", self.head, relu=False)


def network_input(lr: Tensor, degradation_map: Tensor) -> Tensor:
    """Concatenate LR (N, 3, h, w) and map (N, C, h, w) or (N, C, 1, 1) to the input (N, 3 + C, h, w)."""
    return torch.cat([lr, degradation_map.expand(-1, -1, *lr.shape[-2:])], 1)


def _in_float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply the first or last convolution without autocast: 16 bits would be visible and save only 2 % of the time."""
    with torch.autocast(x.device.type, enabled=False):
        return conv(x.to(conv.weight.dtype))


@torch.no_grad()
def _initialise_as_identity(network: SRMD) -> None:
    """Initialise with orthogonal weights, except that channels 0 to 2 of every layer pass RGB on unchanged.

    ReLU does not change RGB, because its values are not negative.
    """
    rgb = range(3)
    for layer in network.chain():
        nn.init.orthogonal_(layer.conv.weight, gain=2**0.5)
        nn.init.zeros_(layer.conv.bias)
    for conv in network.convs:
        conv.weight[:3] = 0
        conv.weight[rgb, rgb, 1, 1] = 1
    head = network.head
    head.weight *= 0.1
    head.weight[:, :3] = 0
    if network.config.head == "subpixel":
        for channel, subpixels in enumerate(head.weight.chunk(3)):
            subpixels[:, channel, 1, 1] = 1
    else:  # sigmoid(4x - 2) ≈ x: at x = 1/2 its value is 1/2 and its slope is 1
        head.weight[rgb, rgb, 1, 1] = 4
        head.bias -= 2
    for norm in network.norms:
        if network.config.batch_norm:  # undo the normalisation of RGB, for the mean and deviation of a typical photo
            norm.running_mean[:3], norm.bias[:3] = 0.45, 0.45
            norm.running_var[:3], norm.weight[:3] = 0.25**2, 0.25
