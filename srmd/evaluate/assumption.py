"""What a network is told of each picture: what the request says, completed by an estimate."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from srmd.config import AUTO, NamedDegradation, NamedKernel
from srmd.evaluate.networks import Network, Networks
from srmd.evaluate.settings import known_noise_level
from srmd.kernel.specs import checked_gaussian
from srmd.restore.auto import describe_estimate, estimated_kernel
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.estimate_map import EstimateMap, estimate_map

logger = logging.getLogger("srmd")


@dataclass(frozen=True)
class Assumption:
    """What a network is told of one picture."""

    degradation: NamedDegradation  # without `auto`
    network: Network
    estimated: dict[str, Any] | None = None  # as metrics.json states it; None: nothing was estimated
    map: EstimateMap | None = None  # what is told instead of `degradation`, which is then the mean of the map

    @property
    def row(self) -> dict:
        """The entries of the picture's row in metrics.json."""
        if self.estimated is None:
            return {}
        return {"weights": str(self.network.settings.request.weights), "estimated": self.estimated}


class Assumptions:
    """Completes what a request says by estimates of what it leaves to `auto`, picture by picture.

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
        self._has_warned = False

    def of_picture(self, pixels: NDArray, label: str) -> Assumption:
        """What a network is told of an LR picture (h, w, 3), unsigned integers or floats in 0 to 1.

        An estimate is logged, with `label` as the name of the picture.
        """
        if self._estimator is None:
            main = self._networks.main
            return Assumption(main.settings.assumed, main)
        if self._networks.settings.request.estimate_map:
            return self._of_windows(pixels, label)
        estimate = self._estimator.estimate(pixels, self._known_kernel, self._known_noise_level)
        text = describe_estimate(estimate, self.kernel_is_estimated, self.noise_is_estimated)
        logger.info("%s: %s", label, text)
        self._warn_of_ignored_noise(estimate.noise_level, label)
        return self._complete(estimate)

    def _of_windows(self, pixels: NDArray, label: str) -> Assumption:
        """A map of blur and noise instead of one estimate."""
        windows = estimate_map(self._estimator, pixels)
        logger.info("%s: %s", label, windows.describe())
        widths, angle, noise_level = windows.mean()
        self._warn_of_ignored_noise(noise_level, label)
        kernel = NamedKernel("the mean of the map", checked_gaussian(*widths, angle))
        degradation = NamedDegradation([kernel], noise_level)
        return Assumption(degradation, self._networks.suiting(degradation), {"windows": windows.entry()}, windows)

    def _complete(self, estimate: Estimate) -> Assumption:
        degradation = self._networks.settings.assumed
        if self.noise_is_estimated:
            degradation = replace(degradation, noise=estimate.noise_level)
        network = self._networks.suiting(degradation)
        if self.kernel_is_estimated:
            kernel = estimated_kernel(estimate, network.weights.network.config.kernel_size)
            degradation = replace(degradation, kernels=[NamedKernel(estimate.kernel_spec, kernel)])
        return Assumption(degradation, network, self._entry(estimate))

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
            logger.warning("%s: noise %.3g is estimated, but SRMDNF takes no noise level", label, noise_level)
