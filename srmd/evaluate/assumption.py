"""What a network is told of each picture: what the request says, completed by an estimate."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from srmd.config import AUTO, NamedDegradation, NamedKernel
from srmd.evaluate.networks import Network, Networks
from srmd.evaluate.settings import known_noise_level
from srmd.jpeg.tables import JpegTables
from srmd.kernel.specs import checked_gaussian
from srmd.restore.auto import describe_estimate, estimated_kernel
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.estimate_map import EstimateMap, estimate_map
from srmd.restore.jpeg import ToldJpeg, told_jpeg

logger = logging.getLogger("srmd")


@dataclass(frozen=True)
class Assumption:
    """What a network is told of one picture."""

    degradation: NamedDegradation  # without `auto`
    network: Network
    estimated: dict[str, Any] | None = None  # as metrics.json states it; None: nothing was estimated
    map: EstimateMap | None = None  # what is told instead of `degradation`, which is then the mean of the map
    jpeg: ToldJpeg | None = None  # None: no JPEG

    @property
    def row(self) -> dict:
        """The entries of the picture's row in metrics.json."""
        found = {"estimated": self.estimated, "jpeg": self.jpeg and self.jpeg.entry()}
        row = {name: entry for name, entry in found.items() if entry is not None}
        return {"weights": str(self.network.settings.request.weights)} | row if row else {}


class Assumptions:
    """Completes what a request leaves to `auto`, by estimates and by the tables of JPEGs, picture by picture.

    Attributes:
        kernel_is_estimated: whether the kernel is.
        noise_is_estimated: whether the noise level is, and is told to a network.
    """

    def __init__(self, networks: Networks):
        self._networks, assumed = networks, networks.settings.assumed
        self.kernel_is_estimated, self.noise_is_estimated = assumed.kernels == AUTO, assumed.noise == AUTO
        self._estimator = BlindEstimator(networks.scale) if assumed.is_estimated else None
        self._known_kernel = None
        if not self.kernel_is_estimated and len(assumed.kernels) == 1:
            self._known_kernel = assumed.kernels[0].array
        self._known_noise_level = known_noise_level(networks.settings)
        self._jpeg = networks.assumed_jpeg
        self._has_warned = False

    def of_picture(self, pixels: NDArray, label: str, jpeg: JpegTables | None = None) -> Assumption:
        """What a network is told of an LR picture (h, w, 3), unsigned integers or floats in 0 to 1.

        `jpeg` are the tables of its file. What is found is logged, with `label` as the name of the picture.
        """
        told = told_jpeg(self._jpeg, pixels, jpeg)
        if self._estimator is None:
            self._log(label, [], told)
            main = self._networks.main
            network = self._networks.suiting(main.settings.assumed, is_jpeg=told is not None)
            return Assumption(network.settings.assumed, network, jpeg=told)
        if self._networks.settings.request.estimate_map:
            return self._of_windows(pixels, label, told)
        tables = told and told.tables
        estimate = self._estimator.estimate(pixels, self._known_kernel, self._known_noise_level, tables)
        self._log(label, [describe_estimate(estimate, self.kernel_is_estimated, self.noise_is_estimated)], told)
        self._warn_of_ignored_noise(estimate.noise_level, label)
        return self._complete(estimate, told)

    def _log(self, label: str, found: list[str], told: ToldJpeg | None) -> None:
        """Logs what was found of a picture, unless all of it was given."""
        if self._jpeg == AUTO:
            found = [*found, "no JPEG" if told is None else told.describe()]
        if found:
            logger.info("%s: %s", label, ", ".join(found))

    def _of_windows(self, pixels: NDArray, label: str, told: ToldJpeg | None) -> Assumption:
        """A map of blur and noise instead of one estimate."""
        windows = estimate_map(self._estimator, pixels, told and told.tables)
        self._log(label, [windows.describe()], told)
        widths, angle, noise_level = windows.mean()
        self._warn_of_ignored_noise(round(noise_level, 1), label)
        window = self._networks.main.weights.network.config.kernel_size
        kernel = NamedKernel("the mean of the map", checked_gaussian(*widths, angle, window))
        degradation = NamedDegradation([kernel], noise_level)
        network = self._networks.suiting(degradation, is_jpeg=told is not None)
        return Assumption(degradation, network, {"windows": windows.entry()}, windows, told)

    def _complete(self, estimate: Estimate, told: ToldJpeg | None) -> Assumption:
        degradation = self._networks.settings.assumed
        if self.noise_is_estimated:
            degradation = replace(degradation, noise=estimate.noise_level)
        network = self._networks.suiting(degradation, is_jpeg=told is not None)
        kernels = network.settings.assumed.kernels  # Gaussians as large as this network's window
        if self.kernel_is_estimated:
            kernel = estimated_kernel(estimate, network.weights.network.config.kernel_size)
            kernels = [NamedKernel(estimate.kernel_spec, kernel)]
        degradation = replace(degradation, kernels=kernels)
        return Assumption(degradation, network, self._entry(estimate), jpeg=told)

    def _entry(self, estimate: Estimate) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        if self.kernel_is_estimated:
            entry = {"kernel": estimate.kernel_spec, "confidence": estimate.confidence, "sure": estimate.is_sure}
        if self.noise_is_estimated:
            entry["noise_level"] = estimate.noise_level
        return entry

    def _warn_of_ignored_noise(self, noise_level: float, label: str) -> None:
        """Warns of the first picture with noise if the network takes no noise level."""
        is_ignored = not self.noise_is_estimated and self._known_noise_level is None
        if is_ignored and noise_level and not self._has_warned:
            self._has_warned = True
            logger.warning("%s: noise %g is estimated, but this network takes no noise level", label, noise_level)
