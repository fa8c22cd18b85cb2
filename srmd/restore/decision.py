"""Which kernel to assume, given what an estimator believes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Belief(NamedTuple):
    """What an estimator believes of a picture: normal distributions of the blur's parameters and of the noise."""

    mean: NDArray  # (3,), see `blur_parameters`
    precision: NDArray  # (3, 3), the inverse of the covariance
    noise_mean: float  # of log(1 + noise level) / 2
    noise_precision: float  # 1 / standard deviation


def decide(belief: Belief, noise_level: float, scale: int) -> tuple[NDArray, float]:
    """The parameters of the kernel to assume, (3,), and the confidence in it."""
    deviation = np.sqrt(np.trace(np.linalg.inv(belief.precision)) / 2)
    return belief.mean, float(np.exp(-((deviation / 0.25) ** 2)))
