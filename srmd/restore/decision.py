"""Which kernel to assume, given what an estimator says of a picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_SHIFT = 3.0  # standard deviations by which a known noise level may differ from what the estimator expects


class Posterior(NamedTuple):
    """The normal distribution of a picture's four parameters: three of its blur, and log(1 + noise level) / 2."""

    mean: NDArray  # (4,), see `blur_parameters`
    precision: NDArray  # (4, 4), the inverse of the covariance

    def noise_level(self) -> float:
        """The expected noise level."""
        return max(float(np.expm1(2 * self.mean[3])), 0.0)

    def given_noise_level(self, noise_level: float) -> "Posterior":
        """The distribution if the noise level is known."""
        return self._given(slice(3, 4), slice(0, 3), np.array([np.log1p(noise_level) / 2]))

    def given_blur(self, parameters: NDArray) -> "Posterior":
        """The distribution if the parameters of the blur, (3,), are known."""
        return self._given(slice(0, 3), slice(3, 4), parameters)

    def _given(self, known: slice, rest: slice, values: NDArray) -> "Posterior":
        """The distribution with a new mean of `rest`, given the values of `known`."""
        deviation = np.sqrt(np.linalg.inv(self.precision).diagonal()[known])
        shift = np.clip(values - self.mean[known], -MAX_SHIFT * deviation, MAX_SHIFT * deviation)
        mean = self.mean.copy()
        mean[known] = values
        mean[rest] -= np.linalg.solve(self.precision[rest, rest], self.precision[rest, known] @ shift)
        return Posterior(mean, self.precision)


def decide(posterior: Posterior, noise_level: float, scale: int) -> tuple[NDArray, float]:
    """The parameters of the kernel to assume, (3,), and the confidence in it."""
    covariance = np.linalg.inv(posterior.precision)[:3, :3]
    deviation = np.sqrt(np.trace(covariance) / 2)
    return posterior.mean[:3], float(np.exp(-((deviation / 0.25) ** 2)))
