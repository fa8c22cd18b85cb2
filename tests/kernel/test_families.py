"""Delta, Gaussian and random kernels against their definitions."""

import math

import numpy as np
import pytest

from plain_kernels import gaussian_by_loops, moments, variances_and_angles
from srmd.kernel import families

# --- families


@pytest.mark.parametrize("width", [0.2, 0.7, 1.3, 2.6, 4.0])
def test_an_isotropic_gaussian_equals_its_definition(width):
    np.testing.assert_allclose(families.gaussian(width), gaussian_by_loops(width, width, 0), atol=1e-14)


def test_an_isotropic_gaussian_has_the_values_of_fspecial():
    """fspecial('gaussian', 3, 0.5), as MATLAB's documentation prints it."""
    expected = [[0.0113, 0.0838, 0.0113], [0.0838, 0.6193, 0.0838], [0.0113, 0.0838, 0.0113]]
    np.testing.assert_allclose(families.gaussian(0.5, size=3), expected, atol=6e-5)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 179])
def test_an_oriented_gaussian_equals_the_one_of_its_covariance(degrees):
    np.testing.assert_allclose(families.gaussian(2.6, 1.0, degrees), gaussian_by_loops(2.6, 1.0, degrees), atol=1e-14)


def test_the_long_axis_has_the_direction_cosine_sine_in_column_row():
    """At 30 degrees swapped axes, or rows growing upwards, would give another direction."""
    _, covariance = moments(families.gaussian(2.0, 0.9, 30))
    variances, axes = np.linalg.eigh(covariance)
    long_axis = axes[:, 1] * np.sign(axes[0, 1])
    np.testing.assert_allclose(long_axis, [math.cos(math.radians(30)), 0.5], atol=5e-3)
    np.testing.assert_allclose(np.sqrt(variances), [0.9, 2.0], rtol=0.02)


def test_arrays_of_widths_give_the_same_kernels_as_scalars():
    width1, width2, angle = np.array([0.8, 2.6, 3.0]), np.array([0.5, 1.0, 1.5]), np.array([10.0, 30.0, 120.0])
    together = families.gaussian(width1, width2, angle)
    assert together.shape == (3, 15, 15)
    for i, k in enumerate(together):
        np.testing.assert_array_equal(k, families.gaussian(width1[i], width2[i], angle[i]))
    np.testing.assert_array_equal(families.gaussian(width1)[1], families.gaussian(2.6))


def test_delta_has_a_single_one_in_the_middle():
    k = families.delta()
    assert k.shape == (15, 15)
    assert k[7, 7] == 1
    assert np.count_nonzero(k) == 1


# --- training's kernels


@pytest.fixture(scope="module")
def kernels_by_scale():
    return {s: families.random_kernels(np.random.default_rng(s), 4000, s) for s in (1, 2, 3, 4)}


def without_deltas(kernels):
    return kernels[kernels[:, 7, 7] < 1]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_training_kernels_are_15_by_15_not_negative_sum_to_one_and_are_centred(kernels_by_scale, scale):
    kernels = kernels_by_scale[scale]
    assert kernels.shape == (4000, 15, 15)
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-12)
    # Symmetric, so that the centre of mass is in the middle.
    np.testing.assert_allclose(kernels, kernels[:, ::-1, ::-1], atol=1e-12)


def test_one_training_kernel_in_twenty_does_not_blur(kernels_by_scale):
    for kernels in kernels_by_scale.values():
        share = np.mean(kernels[:, 7, 7] == 1)
        assert 0.035 < share < 0.075  # the narrowest Gaussians, of width 0.2, are nearly deltas and count too


def test_half_of_the_blurring_training_kernels_are_isotropic(kernels_by_scale):
    for kernels in kernels_by_scale.values():
        small, large = variances_and_angles(without_deltas(kernels))[0].T
        assert 0.46 < np.mean(large / small < 1 + 1e-6) < 0.54


@pytest.mark.parametrize(("scale", "widest", "largest"), [(1, 2.6, 8), (2, 2.6, 8), (3, 3, 8), (4, 4, 10)])
def test_training_kernels_fill_the_range_of_their_scale_and_stay_inside(kernels_by_scale, scale, widest, largest):
    small, large = variances_and_angles(without_deltas(kernels_by_scale[scale]))[0].T
    isotropic = large / small < 1 + 1e-6
    widths, variances = np.sqrt(small[isotropic]), np.stack([small, large])[:, ~isotropic]
    for values, low, high in [(widths, 0.2, widest), (variances, 0.5, largest)]:
        assert low - 1e-6 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-6
        assert np.mean(values) == pytest.approx((low + high) / 2, rel=0.05)  # uniformly distributed


def test_the_angles_of_training_kernels_are_distributed_uniformly(kernels_by_scale):
    variances, angles = variances_and_angles(without_deltas(kernels_by_scale[2]))
    counts, _ = np.histogram(angles[variances[:, 1] / variances[:, 0] > 1.1], bins=12, range=(0, 180))
    assert counts.min() > 0.7 * counts.mean()


def test_random_kernels_depend_on_the_seed():
    first, again, other = (families.random_kernels(np.random.default_rng(seed), 8, 2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
