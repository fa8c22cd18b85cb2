"""The network that training starts with, and the P that belongs to it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from config import TrainConfig
from errors import InputError, asked_by
from kernel import KERNEL_SIZE, PCA_DIM, read_pca
from model import SRMD, NetworkConfig, told_by
from training_kernels import TrainingKernels
from weights import Weights, read_weights, start_from

HERE = Path(__file__).parent


def new_network(config: TrainConfig, kernels: TrainingKernels) -> tuple[SRMD, Tensor]:
    """A network to train and its P: untrained, or started from other weights."""
    torch.manual_seed(config.seed)
    shape = NetworkConfig(config.scale_factor, config.head, config.noise_free, config.batch_norm)
    network = SRMD(replace(shape, kernel_size=config.kernel_size, pca_dim=config.pca_dim))
    if config.weights is None:
        return network, _pca(config, kernels)
    with asked_by("--weights"):
        source = read_weights(config.weights)
        if source.pca is None:
            raise InputError(f"{config.weights}: expected weights with their P, found a format that carries none")
    if config.batch_norm and not source.network.config.batch_norm:  # it would undo what the layers have learnt
        raise InputError(f"--batch_norm: expected --weights of a network that has it, found {config.weights} without")
    source = _with_pca_for(config, source, kernels)
    start_from(network, source.network)
    return network, source.pca


def _pca(config: TrainConfig, kernels: TrainingKernels) -> Tensor:
    """The project's P for its own kernels, or that of the kernels that are trained on."""
    if kernels.own is None and (config.kernel_size, config.pca_dim) == (KERNEL_SIZE, PCA_DIM):
        return torch.from_numpy(read_pca(HERE / "kernels" / "pca.mat"))
    with asked_by("--pca_dim"):
        return torch.from_numpy(kernels.pca(config.pca_dim))


def _with_pca_for(config: TrainConfig, source: Weights, kernels: TrainingKernels) -> Weights:
    """Weights as they are, P included; or, for other kernels or a wider code, told by a P of these."""
    wanted = {"kernel_size": config.kernel_size, "pca_dim": config.pca_dim}
    given = {name: getattr(source.network.config, name) for name in wanted}
    for name, least in given.items():
        if wanted[name] < least:
            raise InputError(f"--{name}: expected at least {least}, as {config.weights} has, found {wanted[name]}")
    if kernels.own is None and wanted == given:
        return source
    pca = _pca(config, kernels)
    print(f"P is computed anew, and the first layer of {config.weights} is translated to it")
    return Weights(told_by(source.network, source.pca, pca, config.kernel_size), pca)


def resumed_network(state: dict) -> tuple[SRMD, Tensor]:
    """The network of a checkpoint and its P."""
    network = SRMD(NetworkConfig(**state["network_config"]))
    network.load_state_dict(state["network"])
    return network, state["pca"]
