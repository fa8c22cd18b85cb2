"""The network that estimates blur and noise, and its parameters."""

import numpy as np
import pytest
import torch

from srmd.estimator import (
    FEATURES,
    Estimator,
    EstimatorConfig,
    blur_parameters,
    covariance_of,
    gaussian_of,
    turning_matrix,
)
from srmd.jpeg.tables import NO_JPEG, JpegCondition, JpegTables
from srmd.kernel.families import gaussian
from srmd.pictures.dihedral import VIEWS, turn_array


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_parameters_and_gaussians_are_converted_both_ways(scale: int):
    for width1, width2, angle in ((2.6, 1.0, 30), (1.2, 0.3, 170), (1.5, 1.4, 90)):
        found = gaussian_of(blur_parameters(width1, width2, angle, scale), scale)
        assert np.allclose(found, (width1, width2, angle))


def test_a_kernel_has_equal_parameters_at_each_scale_if_its_widths_are_equal_in_lr_pixels():
    assert np.allclose(blur_parameters(2.4, 1.2, 30, 2), blur_parameters(4.8, 2.4, 30, 4))


def test_the_covariance_is_that_of_the_kernel_in_lr_pixels():
    columns, both, rows = covariance_of(blur_parameters(2.0, 1.0, 0, 2))
    assert np.allclose([columns, both, rows], [1, 0, 0.25])
    turned = covariance_of(blur_parameters(2.0, 1.0, 30, 2))
    assert turned[1] > 0  # the long axis points to growing columns and rows
    assert np.isclose(turned[0] + turned[2], 1.25)


@pytest.mark.parametrize("view", range(VIEWS))
def test_parameters_turn_with_the_kernel(view: int):
    turned = turning_matrix(view) @ blur_parameters(2.0, 0.7, 30, 2)
    expected = turn_array(gaussian(2.0, 0.7, 30), view)
    assert np.allclose(gaussian(*gaussian_of(turned, 2)), expected, atol=1e-6)


def test_only_the_first_three_parameters_depend_on_the_view():
    assert np.allclose(turning_matrix(7, 5) @ [1, 2, 3, 4, 5], [3, 2, 1, 4, 5])


def test_a_window_is_described_by_a_fixed_number_of_features():
    network = Estimator(EstimatorConfig(hidden=8))
    assert network.features(torch.rand(2, 3, 16, 16)).shape == (2, 1, FEATURES)
    assert network.features(torch.rand(2, 3, 40, 24)).shape == (2, 4 * 2, FEATURES)


def test_the_power_spectrum_is_that_of_white_noise():
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 + 10 / 255 * torch.randn(1, 1, 256, 256, generator=generator).expand(-1, 3, -1, -1)
    power = Estimator(EstimatorConfig(hidden=8)).features(noise)[..., 1:144].exp()
    assert power.mean().item() == pytest.approx(100, rel=0.1)  # 10² at every frequency but 0


def test_the_order_of_windows_does_not_matter():
    torch.manual_seed(0)
    network, features = Estimator(EstimatorConfig(hidden=8)), torch.randn(1, 9, FEATURES)
    one, other = (network(windows, torch.tensor([2]), torch.zeros(1, 3)) for windows in (features, features.flip(1)))
    assert torch.allclose(one.mean, other.mean, atol=1e-5)
    assert torch.allclose(one.cholesky, other.cholesky, atol=1e-5)


def test_a_new_network_ignores_jpeg_until_it_is_trained():
    torch.manual_seed(0)
    network, features = Estimator(EstimatorConfig(hidden=8)), torch.randn(1, 9, FEATURES)

    def mean(jpeg: JpegCondition) -> torch.Tensor:
        return network(features, torch.tensor([2]), torch.tensor([jpeg])).mean

    compressed = JpegTables.of_quality(50).condition
    assert torch.equal(mean(NO_JPEG), mean(compressed))
    for layer in (network.jpeg_bias, network.jpeg_summary):
        torch.nn.init.normal_(layer.weight)
        assert not torch.equal(mean(NO_JPEG), mean(compressed))
        torch.nn.init.zeros_(layer.weight)
