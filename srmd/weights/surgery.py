"""Changes a network's weights: copies them to a new network, adapts them to a new P, merges batch norm, rounds them."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srmd.kernel.pca import kernel_codes
from srmd.kernel.window import MIN_SUM
from srmd.model import SRMD, NetworkConfig


def empty_network(config: NetworkConfig) -> SRMD:
    """A network on PyTorch's meta device, whose weights have no values until `load_state_dict` assigns tensors."""
    with torch.device("meta"):
        return SRMD(config)


@torch.no_grad()
def initialise_from(network: SRMD, source: SRMD) -> None:
    """Copies weights of `source` into a new network: all layers of equal shape, and the first layer by conditions.

    In the first layer the channels of conditions that both networks have are copied, so that an SRMD network starts
    with the outputs of an SRMDNF network, and an SRMDNF network with the outputs of an SRMD network at noise level 0.
    Other layers, such as the head of another scale, keep their initialisation.
    """
    if not network.config.batch_norm:
        source = merge_batch_norm(source)
    state, source_state = network.state_dict(), source.state_dict()
    copied = {key: t for key, t in source_state.items() if key in state and t.shape == state[key].shape}
    if source.config.head != network.config.head:  # heads of different kinds can have equal shapes
        copied = {key: t for key, t in copied.items() if not key.startswith("head.")}
    first = "convs.0.weight"
    if state[first].shape[0] == source_state[first].shape[0]:
        copied[first] = _first_layer_for(network.config, source.config, source_state[first])
    network.load_state_dict(state | copied)


def _first_layer_for(config: NetworkConfig, source: NetworkConfig, weight: Tensor) -> Tensor:
    """The first layer's weight (features, 3 + C, 3, 3) for the conditions of `config`, from that of `source`.

    The weights of conditions that `source` lacks are 0.
    """
    source_map_weight = weight[:, 3:]
    map_weight = weight.new_zeros(len(weight), config.map_channels, 3, 3)
    for condition, channels in config.condition_channels.items():
        if condition in source.condition_channels:
            map_weight[:, channels] = source_map_weight[:, source.condition_channels[condition]]
    return torch.cat([weight[:, :3], map_weight], 1)


@torch.no_grad()
def reproject_first_layer(network: SRMD, pca: Tensor, new_pca: Tensor, kernels: NDArray) -> SRMD:
    """A network that takes kernel codes of `new_pca` and computes what `network` computes from codes of `pca`.

    `pca` is (d, k²), `new_pca` (d', new_k²) with new_k ≥ k. The kernels (n, new_k, new_k) are those that the new
    network will be told. The first layer's weights of the kernel code are multiplied by the matrix that computes the
    kernels' old codes from their new ones, by least squares. The old code is that of the inner k×k, divided by its sum.
    """
    config = replace(network.config, kernel_size=kernels.shape[-1], pca_dim=len(new_pca))
    rgb_weight, map_weight = network.convs[0].weight.split([3, network.config.map_channels], 1)
    weights = {name: map_weight[:, channels] for name, channels in network.config.condition_channels.items()}
    old_from_new = torch.from_numpy(_old_from_new(pca.double().numpy(), new_pca.double().numpy(), kernels))
    weights["kernel"] = torch.einsum("fdhw,dn->fnhw", weights["kernel"], old_from_new.to(map_weight))
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["convs.0.weight"] = torch.cat([rgb_weight, *(weights[condition] for condition in config.conditions)], 1)
    reprojected = empty_network(config)
    reprojected.load_state_dict(state, assign=True)
    return reprojected


def _old_from_new(pca: NDArray, new_pca: NDArray, kernels: NDArray) -> NDArray:
    """The (d, d') matrix that computes old kernel codes from new ones, by least squares over kernels (n, new_k, new_k).

    Kernels that the old window does not hold, see `fit_kernel`, are left out: they have no old code.
    """
    size = round(pca.shape[1] ** 0.5)
    cut = (kernels.shape[-1] - size) // 2
    inner = kernels[:, cut : cut + size, cut : cut + size]
    sums = inner.sum((1, 2))
    held = sums >= MIN_SUM
    old_codes = kernel_codes(inner[held] / sums[held, None, None], pca)
    return np.linalg.lstsq(kernel_codes(kernels[held], new_pca), old_codes)[0].T


@torch.no_grad()
def merge_batch_norm(network: SRMD) -> SRMD:
    """A network without batch norm that computes what `network` does in evaluation mode.

    A network without batch norm is returned unchanged.
    """
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
    """Weight (out, in, 3, 3) and bias (out,) of one convolution that equals a convolution followed by batch norm.

    Batch norm is gain · (x - mean) / deviation + shift; these four tensors are (out,).
    """
    factor = gain / deviation
    return weight * factor[:, None, None, None], (bias - mean) * factor + shift


def grey_weights_to_rgb(first: Tensor, last: Tensor, last_bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first weight, last weight and last bias of a network for grey pictures, changed to take and return RGB.

    The first layer reads the green channel, the channel nearest to luma. In a grey picture the mean of the channels
    would be the same, but if the channels have independent noise, their mean has a lower noise level. The last layer
    returns three equal channels.
    """
    grey, map_weight = first[:, :1], first[:, 1:]
    first = torch.cat([torch.zeros_like(grey), grey, torch.zeros_like(grey), map_weight], 1)
    return first, last.repeat(3, 1, 1, 1), last_bias.repeat(3)


@torch.no_grad()
def round_to_bfloat16(network: SRMD) -> None:
    """Rounds weights and biases of the inner layers to bfloat16, as autocast does in each step of training.

    The digits below bfloat16 did not influence training and are arbitrary. If they were kept, a trained network
    would lose 0.3 dB in float32.
    """
    for conv in network.convs[1:]:
        conv.weight.copy_(conv.weight.bfloat16())
        conv.bias.copy_(conv.bias.bfloat16())
