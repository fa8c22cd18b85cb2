"""The networks of a test: one, or where the noise level is estimated, one each for pictures with and without noise."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from srmd.backends.backend import Backend
from srmd.config import NamedDegradation, TestRequest, TestSettings
from srmd.evaluate.announcement import announcement, describe_network, warnings
from srmd.evaluate.settings import resolve_settings
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights, read_weights_with_pca

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
    estimated and no weights are given.
    """

    main: Network
    noise_free: Network

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
        return [self.main] if self.noise_free is self.main else [self.main, self.noise_free]

    def suiting(self, degradation: NamedDegradation, is_jpeg: bool = False) -> Network:
        """The network for pictures with a degradation; of JPEGs, one that is told so, if there is one."""
        takes_jpeg = ["jpeg" in network.weights.network.config.conditions for network in (self.main, self.noise_free)]
        only_main_takes_jpeg = takes_jpeg == [True, False]
        return self.main if degradation.has_noise or (is_jpeg and only_main_takes_jpeg) else self.noise_free


def read_networks(request: TestRequest, path: Path, noise_free_path: Path | None) -> Networks:
    """Reads the networks; `noise_free_path` is None if there is only one. Raises InputError if one does not suit."""
    main = _read_network(request, path)
    if noise_free_path in (None, path):
        return Networks(main, main)
    return Networks(main, _read_network(request, noise_free_path))


def _read_network(request: TestRequest, path: Path) -> Network:
    weights = read_weights_with_pca(path, request.pca)
    return Network(weights, resolve_settings(replace(request, weights=path), weights))


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
