"""Which kernel is assumed, given a distribution of blur and noise."""

import numpy as np
import pytest

from srmd.estimator import blur_parameters, covariance_of, gaussian_of
from srmd.restore.decision import Posterior, decide, psnr_loss


def covariance(width: float, scale: int = 2) -> np.ndarray:
    return covariance_of(blur_parameters(width, width, 0, scale))


def posterior(width: float, deviation: float) -> Posterior:
    mean = np.append(blur_parameters(width, width, 0, 2), 0.0)
    return Posterior(mean, np.eye(4) / deviation**2)


def test_the_right_kernel_loses_nothing_and_wrong_ones_lose():
    assert psnr_loss(covariance(1.2), covariance(1.2), 5) == 0
    for told in (0.8, 1.0, 1.4, 1.6):
        assert psnr_loss(covariance(1.2), covariance(told), 5) > 0


def test_too_wide_loses_more_than_too_narrow_by_as_much():
    assert psnr_loss(covariance(1.2), covariance(1.5), 0) > 2 * psnr_loss(covariance(1.2), covariance(0.9), 0)


def test_a_wrong_kernel_loses_less_with_noise():
    assert psnr_loss(covariance(1.2), covariance(1.5), 15) < psnr_loss(covariance(1.2), covariance(1.5), 0) / 3


@pytest.mark.parametrize(
    ("true", "told", "measured"), [(1.3, 1.54, 3.77), (1.3, 1.1, 1.28), (0.6, 0.84, 1.75), (0.05, 0.55, 1.02)]
)
def test_the_model_gives_what_the_networks_lose(true: float, told: float, measured: float):
    """Measured with SRMDNF x2 on five held-out crops."""
    assert psnr_loss(covariance(true), covariance(told), 0) == pytest.approx(measured, rel=0.35)


def test_the_kernel_is_the_expected_one_if_it_is_known_well_and_narrower_if_not():
    widths = [gaussian_of(decide(posterior(1.2, deviation), 0, 2)[0], 2)[0] for deviation in (0.01, 0.1, 0.3)]
    assert widths[0] == pytest.approx(1.2, abs=0.1)
    assert widths[0] > widths[1] > widths[2]


def test_confidence_falls_with_the_deviation():
    confidences = [decide(posterior(1.2, deviation), 0, 2)[1] for deviation in (0.01, 0.1, 0.5)]
    assert confidences[0] > 0.7 > confidences[1] > confidences[2]


def test_a_known_noise_level_changes_the_blur_as_the_conditional_distribution_says():
    rng = np.random.default_rng(0)
    factor = 0.1 * np.eye(4) + 0.02 * rng.standard_normal((4, 4))
    covariances = factor @ factor.T
    mean = np.array([0.3, 0.0, 0.3, 1.0])
    level = float(np.expm1(2 * 1.1))  # whose parameter is 1.1
    found = Posterior(mean, np.linalg.inv(covariances)).given_noise_level(level).mean
    expected = mean[:3] + covariances[:3, 3] / covariances[3, 3] * 0.1  # the formula with the covariance instead
    assert np.allclose(found[:3], expected)
    assert found[3] == pytest.approx(1.1)
