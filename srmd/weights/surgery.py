"""Changes to the weights of a network that keep, or carry over, what it computes."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.model import SRMD, NetworkConfig


def empty_network(config: NetworkConfig) -> SRMD:
    """A network on the meta device: no time is spent on weights that are about to be assigned."""
    with torch.device("meta"):
        return SRMD(config)


@torch.no_grad()
def initialise_from(network: SRMD, source: SRMD) -> None:
    """Copies what fits into a fresh network: the layers whose shapes agree, and of the first layer what both are told.

    A network that is told a noise level thus starts as the noise-free one that it comes from, and the other way round.
    The other layers, such as another scale's head, keep their identity initialisation.
    """
    if not network.config.batch_norm:
        source = merge_batch_norm(source)
    fresh, given = network.state_dict(), source.state_dict()
    fitting = {key: t for key, t in given.items() if key in fresh and t.shape == fresh[key].shape}
    if source.config.head != network.config.head:  # which can agree in shape, and mean something else
        fitting = {key: t for key, t in fitting.items() if not key.startswith("head.")}
    first = "convs.0.weight"
    if fresh[first].shape[0] == given[first].shape[0]:
        fitting[first] = _first_layer_for(network.config, source.config, given[first])
    network.load_state_dict(fresh | fitting)


def _first_layer_for(config: NetworkConfig, source: NetworkConfig, weight: Tensor) -> Tensor:
    """The weights of a first layer for another network's conditions: 0 for what the source was not told."""
    told = weight.new_zeros(len(weight), config.map_channels, 3, 3)
    for condition, channels in config.condition_channels.items():
        if condition in source.condition_channels:
            told[:, channels] = weight[:, 3:][:, source.condition_channels[condition]]
    return torch.cat([weight[:, :3], told], 1)


@torch.no_grad()
def reproject_first_layer(network: SRMD, pca: Tensor, new_pca: Tensor, new_size: int) -> SRMD:
    """The network that computes from kernel codes by `new_pca` what this one does from codes by `pca`.

    A kernel is about new_pcaᵀ · code, and the first layer is linear in what it is told: its weights times
    pca · new_pcaᵀ are exact for kernels that the new P describes. The new window, new_size×new_size, is no smaller.
    """
    dim, size = network.config.pca_dim, network.config.kernel_size
    window = F.pad(pca.view(dim, size, size), [(new_size - size) // 2] * 4).flatten(1)  # (dim, new_size²)
    config = replace(network.config, kernel_size=new_size, pca_dim=len(new_pca))
    rgb, told = network.convs[0].weight.split([3, network.config.map_channels], 1)
    parts = {name: told[:, channels] for name, channels in network.config.condition_channels.items()}
    parts["kernel"] = torch.einsum("fdhw,dn->fnhw", parts["kernel"], window @ new_pca.T)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["convs.0.weight"] = torch.cat([rgb, *(parts[condition] for condition in config.conditions)], 1)
    reprojected = empty_network(config)
    reprojected.load_state_dict(state, assign=True)
    return reprojected


@torch.no_grad()
def merge_batch_norm(network: SRMD) -> SRMD:
    """The network without batch norm that computes what this one does in evaluation mode; itself if it has none."""
    if not network.config.batch_norm:
        return network
    merged = empty_network(replace(network.config, batch_norm=False))
    state = network.state_dict()
    merged.load_state_dict({key: state[key].clone() for key in merged.state_dict()}, assign=True)
    for conv, norm in zip(merged.convs[1:], network.norms, strict=True):
        deviation = (norm.running_var + norm.eps).sqrt()
        weight, bias = merge_norm(conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, deviation)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return merged


def merge_norm(
    weight: Tensor, bias: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that equals a convolution and the batch norm behind it."""
    gain = gain / deviation
    return weight * gain[:, None, None, None], (bias - mean) * gain + shift


def grey_weights_to_rgb(first: Tensor, last: Tensor, last_bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First weight, last weight and last bias of a network for grey pictures, which then sees green and gives RGB.

    Of a grey picture all channels are the same, but for noise of their own, which a mean would weaken; of others green
    is the nearest to luma.
    """
    grey, told = first[:, :1], first[:, 1:]
    seen = torch.cat([torch.zeros_like(grey), grey, torch.zeros_like(grey), told], 1)
    return seen, last.repeat(3, 1, 1, 1), last_bias.repeat(3)


@torch.no_grad()
def round_to_bfloat16(network: SRMD) -> None:
    """Rounds the inner layers to what bfloat16 autocast computes with.

    Training in bfloat16 leaves the digits below it to chance, for they change no output: read in float32 they cost a
    trained network 0.3 dB.
    """
    for conv in network.convs[1:]:
        conv.weight.copy_(conv.weight.bfloat16())
        conv.bias.copy_(conv.bias.bfloat16())
