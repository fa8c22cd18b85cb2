"""The network, P and kernels that a training run starts with: new, or from a checkpoint."""

import logging
from typing import NamedTuple

import torch
from torch import Tensor

from srmd.base.errors import InputError, prefix_errors
from srmd.base.paths import shipped_folder
from srmd.config import TrainConfig
from srmd.kernel.pca import PCA_DIM, SHIPPED_PCA, read_pca
from srmd.model import SRMD, NetworkConfig
from srmd.train.kernels import TrainingKernels, training_kernels
from srmd.weights.checkpoint import Checkpoint
from srmd.weights.files import Weights, read_weights_with_pca
from srmd.weights.surgery import initialise_from, reproject_first_layer

logger = logging.getLogger("srmd")


class TrainingSetup(NamedTuple):
    """The network, P and kernels of a training run."""

    network: SRMD
    pca: Tensor  # P of the network, (pca_dim, kernel_size²)
    kernels: TrainingKernels


def new_setup(config: TrainConfig) -> TrainingSetup:
    """Return the setup of a new run: with an untrained network, or with the weights of `config.weights`.

    `config.pca` is the file of P for weights in a format without P, such as those of the published networks. Raises
    InputError if these weights can't be used for the configuration.
    """
    kernels = training_kernels(config)
    torch.manual_seed(config.seed)
    network = SRMD(
        NetworkConfig(
            config.scale_factor,
            config.head,
            config.conditions,
            config.batch_norm,
            kernel_size=config.kernel_size,
            pca_dim=config.pca_dim,
        )
    )
    if config.weights is None:
        return TrainingSetup(network, _pca(config, kernels), kernels)
    source = read_weights_with_pca(config.weights, config.pca)
    if config.batch_norm and not source.network.config.batch_norm:  # untrained batch norm would spoil the features
        found = f"found {config.weights} without batch norm"
        raise InputError(f"expected weights of a network with batch norm, {found}", "batch_norm")
    features, source_features = network.config.features, source.network.config.features
    if source_features != features:  # no layer of the weights would fit
        found = f"found {source_features} in {config.weights}"
        raise InputError(f"expected a network with {features} features, {found}", "weights")
    source = _with_pca_for(config, source, kernels)
    initialise_from(network, source.network)
    return TrainingSetup(network, source.pca, kernels)


def resumed_setup(config: TrainConfig, checkpoint: Checkpoint) -> TrainingSetup:
    """Return the setup of a resumed run, from its checkpoint alone; `Solver.load_state_dict` loads the weights."""
    own_kernels = None if checkpoint.own_kernels is None else checkpoint.own_kernels.numpy()
    network = SRMD(NetworkConfig(**checkpoint.network_config))
    return TrainingSetup(network, checkpoint.pca, training_kernels(config, own_kernels))


def _pca(config: TrainConfig, kernels: TrainingKernels) -> Tensor:
    """A P of the package if the run has its kernels, window and dimensions; otherwise a new P of the run's kernels."""
    if kernels.own_kernels is None and config.pca_dim == PCA_DIM and config.kernel_size in SHIPPED_PCA:
        file = shipped_folder("kernels") / SHIPPED_PCA[config.kernel_size]
        return torch.from_numpy(read_pca(file, config.kernel_size))
    with prefix_errors("pca_dim"):
        return torch.from_numpy(kernels.pca(config.pca_dim))


def _with_pca_for(config: TrainConfig, source: Weights, kernels: TrainingKernels) -> Weights:
    """The weights `source`, with a P for the run's kernels and dimensions.

    They are returned unchanged if the run has the project's kernels and the dimensions of their P. Otherwise they get
    another P, to which their first layer is reprojected.
    """
    run_sizes = {"kernel_size": config.kernel_size, "pca_dim": config.pca_dim}
    source_sizes = {name: getattr(source.network.config, name) for name in run_sizes}
    for name, value in source_sizes.items():
        if run_sizes[name] < value:
            raise InputError(f"expected at least {value}, as {config.weights} has, found {run_sizes[name]}", name)
    if kernels.own_kernels is None and run_sizes == source_sizes:
        return source
    pca = _pca(config, kernels)
    logger.info("the first layer of %s is reprojected to the run's P", config.weights)
    return Weights(reproject_first_layer(source.network, source.pca, pca, kernels.sample()), pca)
