"""Which kernel to assume, given what an estimator says of a picture: the one that costs the least on average.

Assuming a kernel that is too wide costs much more than one that is too narrow by as much. So when a picture does not
tell its blur exactly, the best kernel is narrower than the expected one. What a wrong kernel costs is computed from a
model of the restoring network: a Wiener filter for the assumed kernel and noise, and pictures with the spectrum of
photos. Its constants were fitted to the PSNR that the networks of the package lose.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srmd.estimator import covariance_of

MAX_SHIFT = 3.0  # standard deviations by which a known noise level may differ from what the estimator expects
SAMPLES = 64  # of the distribution, over which costs are averaged
SHRINKS = np.linspace(0, 1.1, 45)  # candidates: the expected parameters times these
# Pictures differ in sharpness before they are blurred, and soft ones are read as too wide. An estimator knows how its
# training pictures differ; others differ more, by this covariance in HR pixels², chosen on photos of scikit-image.
SOFTNESS = 0.14**2 * np.array([[1.5, 0, 0.5], [0, 0.25, 0], [0.5, 0, 1.5]])
MAX_LOSS = 2.0  # dB; the confidence is the probability that less is lost

# The model of the restoring network, in LR pixels.
RADII = (np.arange(10) + 0.5) / 20  # frequencies, cycles per LR pixel
DIRECTIONS = np.pi * np.arange(8) / 8
SPECTRUM_SLOPE = 2.5  # power of photos falls with the frequency to this power
NOISE_POWER = 0.0137  # of a noise level of 1, relative to the power at the frequency of one cycle per LR pixel
ROUNDING_NOISE = 1.06  # noise level that stands for rounding, and for what a network cannot invert
LOST_DETAIL = 0.56  # error of the frequencies that downsampling removes


class Posterior(NamedTuple):
    """The normal distribution of a picture's four parameters: three of its blur, and log(1 + noise level) / 2."""

    mean: NDArray  # (4,), see `blur_parameters`
    precision: NDArray  # (4, 4), the inverse of the covariance

    def noise_level(self) -> float:
        """The expected noise level."""
        return max(float(np.expm1(2 * self.mean[3])), 0.0)

    def blur_deviation(self) -> float:
        """The standard deviation of the blur's parameters in the direction in which it is largest, LR pixels."""
        return float(np.sqrt(np.linalg.eigvalsh(np.linalg.inv(self.precision)[:3, :3])[-1]))

    def noise_deviation(self) -> float:
        """The standard deviation of log(1 + noise level) / 2."""
        return float(np.sqrt(np.linalg.inv(self.precision)[3, 3]))

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

    def sharpened(self, factor: float) -> "Posterior":
        """The distribution with `factor` times the precision."""
        return Posterior(self.mean, factor * self.precision)

    def upright(self) -> "Posterior":
        """The distribution for the picture's flip or rotation whose blur is wider along columns and has `both` ≥ 0.

        The samples of a picture and of its views are then the same, and so is what is decided.
        """
        turning = np.eye(4)
        if self.mean[0] < self.mean[2]:
            turning = turning[[2, 1, 0, 3]]
        turning[1] *= -1 if self.mean[1] < 0 else 1
        return Posterior(turning @ self.mean, turning @ self.precision @ turning.T)

    def sample(self, count: int, scale: int) -> NDArray:
        """Samples of the blur's parameters, (count, 3), for pictures of any softness; equal at each call."""
        covariance = np.linalg.inv(self.precision)[:3, :3] + SOFTNESS / max(scale, 2) ** 2
        normal = np.random.default_rng(0).standard_normal((count // 2, 3))
        return self.mean[:3] + np.concatenate([normal, -normal]) @ np.linalg.cholesky(covariance).T


def decide(posterior: Posterior, noise_level: float, scale: int) -> tuple[NDArray, float]:
    """The parameters of the kernel to assume, (3,), and the confidence: the probability that it costs little."""
    upright = posterior.upright()
    samples = covariance_of(upright.sample(SAMPLES, scale))
    candidates = SHRINKS[:, None] * upright.mean[:3]
    losses = psnr_loss(samples, covariance_of(candidates)[:, None], noise_level)  # (candidates, samples)
    best = losses.mean(1).argmin()
    return SHRINKS[best] * posterior.mean[:3], float((losses[best] < MAX_LOSS).mean())


def psnr_loss(true: NDArray, told: NDArray, noise_level: float, told_noise: float | None = None) -> NDArray:
    """PSNR in dB that a network loses by being told a wrong kernel (or noise level); see the model above.

    The kernels are given by their covariances, (..., 3), in LR pixels²: of columns, of both, of rows.
    """
    told_noise = noise_level if told_noise is None else told_noise
    right = _error(true, true, noise_level, noise_level)
    return 10 * np.log10(_error(true, told, noise_level, told_noise) / right)


def _error(true: NDArray, told: NDArray, noise_level: float, told_noise: float) -> NDArray:
    """The squared error of the filter for `told`, applied to a picture blurred by `true`."""
    spectrum = RADII[:, None] ** -SPECTRUM_SLOPE
    noise, told_noise = (NOISE_POWER * (level**2 + ROUNDING_NOISE**2) for level in (noise_level, told_noise))
    transfer = _transfer(told)
    inverse = transfer / (transfer**2 + told_noise / spectrum)
    error = spectrum * (1 - inverse * _transfer(true)) ** 2 + noise * inverse**2  # (..., radii, directions)
    return (error * RADII[:, None]).mean((-2, -1)) + LOST_DETAIL


def _transfer(covariance: NDArray) -> NDArray:
    """The transfer function of Gaussians, (..., radii, directions)."""
    cosine, sine = np.cos(DIRECTIONS), np.sin(DIRECTIONS)
    variance = covariance @ np.stack([cosine**2, 2 * cosine * sine, sine**2])  # along each direction, (..., directions)
    return np.exp(-2 * np.pi**2 * RADII[:, None] ** 2 * variance[..., None, :])
