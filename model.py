"""The network and its configuration.

Twelve 3×3 convolutions on the LR grid see the picture and, as further channels, its degradation map; the head turns
their features into HR pixels (Zhang et al., CVPR 2018, section 3.3).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winograd import conv_relu, conv_relu_

Run = Callable[[Tensor, Tensor], Tensor]  # (LR, degradation map) → SR, by a network in whatever form


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network; stored with its weights."""

    scale: int = 2
    head: str = "subpixel"  # the paper's, or "upsample", this project's own
    noise_free: bool = False  # SRMDNF: not told a noise level
    batch_norm: bool = False
    features: int = 128
    layers: int = 12
    kernel_size: int = 15
    pca_dim: int = 15

    @property
    def map_channels(self) -> int:
        """Channels of the degradation map: the kernel code, and the noise level unless noise-free."""
        return self.pca_dim + (not self.noise_free)


class SRMD(nn.Module):
    """SRMD, or SRMDNF where noise-free; untrained, it passes the picture through."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.winograd = False  # how the inner layers are computed: engine.py and solver.py choose what is faster here
        widths = [3 + config.map_channels] + [config.features] * (config.layers - 1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        norm = nn.BatchNorm2d if config.batch_norm else nn.Identity
        self.norms = nn.ModuleList(norm(config.features) for _ in self.convs[1:])  # the first layer has none
        self.head = nn.Conv2d(config.features, 3 * config.scale**2 if config.head == "subpixel" else 3, 3, padding=1)
        _initialise_as_identity(self)

    def forward(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """LR (N, 3, h, w) and map (N, C, h, w) or (N, C, 1, 1) → SR (N, 3, s·h, s·w), not clipped."""
        x = self.first(lr, degradation_map)  # (N, features, h, w)
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            x = self._inner(conv, norm, x)  # (N, features, h, w)
        return self.restored(x)

    def first(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """LR and map → the features that the inner layers begin with, (N, features, h, w)."""
        return F.relu(_in_float32(self.convs[0], self.seen(lr, degradation_map)), inplace=True)

    def seen(self, lr: Tensor, degradation_map: Tensor) -> Tensor:
        """LR and map as the channels of one tensor, what the first layer sees: (N, 3 + C, h, w)."""
        return torch.cat([lr, degradation_map.expand(-1, -1, *lr.shape[-2:])], 1)

    def _inner(self, conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tensor:
        if self.winograd:
            return (conv_relu if torch.is_grad_enabled() else conv_relu_)(x, conv.weight, conv.bias)
        return F.relu(norm(conv(x)), inplace=True)

    def restored(self, x: Tensor) -> Tensor:
        """The features that the inner layers end with → SR, by the head."""
        if self.config.head == "subpixel":
            return F.pixel_shuffle(_in_float32(self.head, x), self.config.scale)
        x = F.interpolate(x, scale_factor=self.config.scale, mode="bilinear", align_corners=False)
        return torch.sigmoid(_in_float32(self.head, x))


def _in_float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Keeps what touches pixels out of autocast: 16 bits would show there, and cost a fiftieth less."""
    with torch.autocast(x.device.type, enabled=False):
        return conv(x.to(conv.weight.dtype))


@torch.no_grad()
def _initialise_as_identity(network: SRMD) -> None:
    """Orthogonal weights, but RGB travels through untouched in channels 0 to 2: ReLU lets [0, 1] pass."""
    rgb = range(3)
    for conv in [*network.convs, network.head]:
        nn.init.orthogonal_(conv.weight, gain=2**0.5)
        nn.init.zeros_(conv.bias)
    for conv in network.convs:
        conv.weight[:3] = 0
        conv.weight[rgb, rgb, 1, 1] = 1
    head = network.head
    head.weight *= 0.1
    head.weight[:, :3] = 0
    if network.config.head == "subpixel":
        for channel, subpixels in enumerate(head.weight.chunk(3)):
            subpixels[:, channel, 1, 1] = 1
    else:  # a sigmoid's tangent at one half: sigmoid(4x - 2) ≈ x
        head.weight[rgb, rgb, 1, 1] = 4
        head.bias -= 2
    for norm in network.norms:
        if network.config.batch_norm:  # undo the normalisation of RGB, for a picture of usual mean and contrast
            norm.running_mean[:3], norm.bias[:3] = 0.45, 0.45
            norm.running_var[:3], norm.weight[:3] = 0.25**2, 0.25


@torch.no_grad()
def told_by(network: SRMD, pca: Tensor, new_pca: Tensor, new_size: int) -> SRMD:
    """The network that computes from kernel codes by `new_pca` what this one does from codes by `pca`.

    A kernel is about new_pcaᵀ · code, and the first layer is linear in what it is told: its weights times
    pca · new_pcaᵀ are exact for kernels that the new P describes. The new window, new_size×new_size, is no smaller.
    """
    dim, size = network.config.pca_dim, network.config.kernel_size
    window = F.pad(pca.view(dim, size, size), [(new_size - size) // 2] * 4).flatten(1)  # (dim, new_size²)
    config = replace(network.config, kernel_size=new_size, pca_dim=len(new_pca))
    rgb, codes, noise = network.convs[0].weight.split([3, dim, network.config.map_channels - dim], 1)
    codes = torch.einsum("fdhw,dn->fnhw", codes, window @ new_pca.T)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["convs.0.weight"] = torch.cat([rgb, codes, noise], 1)
    with torch.device("meta"):
        told = SRMD(config)
    told.load_state_dict(state, assign=True)
    return told


@torch.no_grad()
def round_as_autocast(network: SRMD) -> None:
    """Rounds the inner layers to what bfloat16 autocast computes with.

    Training in bfloat16 leaves the digits below it to chance, for they change no output: read in float32 they cost a
    trained network 0.3 dB.
    """
    for conv in network.convs[1:]:
        conv.weight.copy_(conv.weight.bfloat16())
        conv.bias.copy_(conv.bias.bfloat16())


@torch.no_grad()
def merge_batch_norm(network: SRMD) -> SRMD:
    """The network without batch norm that computes what this one does in evaluation mode."""
    with torch.device("meta"):
        merged = SRMD(replace(network.config, batch_norm=False))
    state = network.state_dict()
    merged.load_state_dict({key: state[key].clone() for key in merged.state_dict()}, assign=True)
    for conv, norm in zip(merged.convs[1:], network.norms, strict=True):
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        conv.weight *= gain[:, None, None, None]
        conv.bias.copy_((conv.bias - norm.running_mean) * gain + norm.bias)
    return merged
