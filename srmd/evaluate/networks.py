"""The networks of a test: one, or one each for pictures with noise, without noise, and for JPEGs."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from srmd.backends.backend import Backend
from srmd.backends.choice import check_backend, choose_backend
from srmd.backends.device import choose_device
from srmd.base.distributed import Processes
from srmd.config import Auto, NamedDegradation, TestRequest, TestSettings
from srmd.evaluate.announcement import announcement, describe_network, warnings
from srmd.evaluate.settings import resolve_settings
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights, read_weights_with_pca
from srmd.weights.surgery import merge_batch_norm

logger = logging.getLogger("srmd")


@dataclass(frozen=True, eq=False)
class Network:
    """The weights of a network, and the settings of a test that suit it."""

    weights: Weights
    settings: TestSettings


@dataclass(frozen=True)
class Networks:
    """The networks of a test at one scale.

    `noise_free` is for pictures without noise. It is another network than `main`, mostly SRMDNF, if the noise level is
    estimated and no weights are given. `jpeg` is for pictures whose compression is told, if no weights are given.
    """

    main: Network
    noise_free: Network
    jpeg: Network | None = None

    @property
    def settings(self) -> TestSettings:
        """The settings of the main network."""
        return self.main.settings

    @property
    def scale(self) -> int:
        """The scale of the networks."""
        return self.main.weights.network.config.scale

    def all(self) -> list[Network]:
        """The different networks, the main one first."""
        others = [network for network in (self.noise_free, self.jpeg) if network not in (None, self.main)]
        return [self.main, *others]

    @property
    def assumed_jpeg(self) -> int | Auto | None:
        """What is told of JPEG: a quality, or `auto`; None: nothing, also if no network takes it."""
        return (self.jpeg or self.main).settings.assumed.jpeg

    def suiting(self, degradation: NamedDegradation, is_jpeg: bool = False) -> Network:
        """The network for pictures with a degradation; of JPEGs, one that is told so, if there is one."""
        if is_jpeg and self.jpeg:
            return self.jpeg
        return self.main if degradation.has_noise else self.noise_free


def read_networks(
    request: TestRequest, path: Path, noise_free_path: Path | None, jpeg_path: Path | None = None
) -> Networks:
    """Reads the networks; the other paths are None where `path` is for these pictures too.

    Raises InputError if a network does not suit the request, or cannot run as it says on this machine.
    """
    main = _read_network(request, path)
    noise_free = main if noise_free_path in (None, path) else _read_network(request, noise_free_path)
    return Networks(main, noise_free, _read_network(request, jpeg_path) if jpeg_path else None)


def _read_network(request: TestRequest, path: Path) -> Network:
    weights = read_weights_with_pca(path, request.pca)
    check_backend(weights.network.config, request.device, request.engine, request.precision)
    return Network(weights, resolve_settings(replace(request, weights=path), weights))


def choose_backends(all_networks: list[Networks], processes: Processes) -> None:
    """Lets the first process of each machine measure which backend is the fastest, for the cache that all read.

    Otherwise all would measure at the same time, and might choose different ones.
    """
    if not processes.are_several:
        return
    with processes.common_errors():
        if processes.local_rank == 0:
            for network in (network for networks in all_networks for network in networks.all()):
                request = network.settings.request
                merged = merge_batch_norm(network.weights.network)
                choose_backend(merged, choose_device(request.device), request.engine, request.precision)


class OpenNetworks:
    """The restorers of networks, each opened and announced when it is first needed.

    Attributes:
        backend: that of the restorer opened last; None before.
    """

    def __init__(self, networks: Networks):
        self.networks = networks
        self.backend: Backend | None = None
        self._restorers: dict[Network, Restorer] = {}
        if len(networks.all()) == 1:
            self.restorer(networks.main)

    def restorer(self, network: Network) -> Restorer:
        """The restorer of one of the networks."""
        if network not in self._restorers:
            request = network.settings.request
            restorer = open_restorer(network.weights, request.device, request.engine, request.precision)
            logger.info("%s", describe_network(request.weights, restorer))
            if not self._restorers:
                self._announce_degradation()
            self._restorers[network], self.backend = restorer, restorer.backend
        return self._restorers[network]

    def _announce_degradation(self) -> None:
        main = self.networks.main
        for line in announcement(main.settings, main.weights):
            logger.info("%s", line)
        for line in warnings(main.settings, main.weights):
            logger.warning(line)
