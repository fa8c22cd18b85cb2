"""The networks and estimators of the page; each is opened when it is first needed and stays in memory."""

from pathlib import Path

from srmd.backends.choice import check_backend
from srmd.base.errors import InputError, prefix_errors
from srmd.config import PanelRequest
from srmd.jpeg.tables import JpegTables
from srmd.model import NetworkConfig
from srmd.panel.settings import SCALES
from srmd.restore.auto import check_kernel_can_be_estimated
from srmd.restore.estimate import BlindEstimator
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights, read_weights_with_pca
from srmd.weights.shipped import estimator_file, jpeg_counterpart, shipped_networks, shipped_weights


class PanelNetworks:
    """The networks of a request: the given one, or those of the package.

    Attributes:
        scales: the scales that they restore at.
    """

    def __init__(self, request: PanelRequest):
        """Raises InputError if the given network can't be read, if no blur can be estimated for it, or if this machine
        can't run it as the request says.
        """
        self.request = request
        self._given: Weights | None = None
        self._weights: dict[Path, Weights] = {}
        self._restorers: dict[Path, Restorer] = {}
        self._estimators: dict[int, BlindEstimator] = {}
        if request.weights is None:
            self.scales = tuple(scale for scale in SCALES if scale in shipped_networks(noisy=True))
            self._check_backend(NetworkConfig())
            return
        self._given = read_weights_with_pca(request.weights, request.pca)
        self._weights[request.weights] = self._given
        self._check_backend(self._given.network.config)
        scale = self._given.network.config.scale
        with prefix_errors("weights"):
            estimator_file(scale)
            check_kernel_can_be_estimated(scale, {self._given.downsampler})
        self.scales = (scale,)

    def _check_backend(self, config: NetworkConfig) -> None:
        check_backend(config, self.request.device, self.request.engine, self.request.precision)

    def takes_noise_level(self) -> bool:
        """Whether a network can be told a noise level."""
        return self._given is None or "noise" in self._given.network.config.conditions

    def takes_jpeg(self, scale: int) -> bool:
        """Whether a network of a scale can be told of JPEG."""
        if self._given is not None:
            return "jpeg" in self._given.network.config.conditions
        return jpeg_counterpart(shipped_weights(scale, noisy=True)) is not None

    def weights(self, scale: int, noise_level: float, jpeg: JpegTables | None) -> Path:
        """The weights file for pictures with this noise level and compression, chosen as `--mode=test` chooses it."""
        if self.request.weights is not None:
            return self.request.weights
        path = shipped_weights(scale, noisy=noise_level > 0)
        if path is None:
            raise InputError(f"expected one of {', '.join(map(str, self.scales))}, found {scale}", "scale")
        return path if jpeg is None else jpeg_counterpart(path)

    def config(self, path: Path) -> NetworkConfig:
        """The configuration of the network in a weights file, which is read but not made ready to restore."""
        return self._read(path).network.config

    def restorer(self, path: Path) -> Restorer:
        """The network in a weights file, ready to restore."""
        if path not in self._restorers:
            request = self.request
            restorer = open_restorer(self._read(path), request.device, request.engine, request.precision)
            self._restorers[path] = restorer
        return self._restorers[path]

    def _read(self, path: Path) -> Weights:
        if path not in self._weights:
            self._weights[path] = read_weights_with_pca(path)
        return self._weights[path]

    def estimator(self, scale: int) -> BlindEstimator:
        """The estimator of blur and noise for a scale."""
        if scale not in self._estimators:
            self._estimators[scale] = BlindEstimator(scale)
        return self._estimators[scale]
