"""Kernels are padded, cropped and centred."""

import numpy as np
import pytest

from plain_kernels import asymmetric_kernel, moments
from srmd.base.errors import InputError
from srmd.kernel import families, window


def test_a_small_kernel_is_padded_and_a_large_one_cropped_about_its_middle():
    small, large = asymmetric_kernel(5), asymmetric_kernel(21)
    padded, cropped = window.fit_kernel(small, 15), window.fit_kernel(large, 15)
    np.testing.assert_allclose(padded[5:10, 5:10], small)
    assert padded.shape == (15, 15)
    assert np.count_nonzero(padded) == 25
    np.testing.assert_allclose(cropped, large[3:18, 3:18] / large[3:18, 3:18].sum())


def test_the_cropped_share_counts_absolute_values():
    k = np.zeros((5, 5))
    k[2, 2], k[0, 0], k[4, 4] = 1, -0.25, 0.25
    assert window.cropped_share(k, 3) == pytest.approx(1 / 3)
    assert window.cropped_share(k, 5) == window.cropped_share(k, 15) == 0


# --- centres of mass


def test_the_centre_offset_is_in_rows_and_columns_from_the_middle():
    k = np.roll(families.gaussian(0.7), (2, -3), (0, 1))
    np.testing.assert_allclose(window.centre_offset(k), [2, -3], atol=1e-9)
    column_row, _ = moments(asymmetric_kernel())
    np.testing.assert_allclose(window.centre_offset(asymmetric_kernel()), column_row[::-1], atol=1e-12)


@pytest.mark.parametrize(("row", "column"), [(0.5, 0.5), (-0.3, 1.7), (4.25, -3.5)])
def test_a_recentred_gaussian_equals_a_centred_one(row, column):
    """Linear interpolation has relative errors of 0.02 to 0.09 here."""
    rows, columns = np.mgrid[:25, :25] - 12
    off = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.3**2))
    recentred = window.fit_kernel(window.recentre_kernel(off / off.sum()), 15)
    assert np.linalg.norm(recentred - families.gaussian(1.3)) < 0.007 * np.linalg.norm(recentred)
    np.testing.assert_allclose(window.centre_offset(recentred), 0, atol=2e-4)
    assert recentred.sum() == pytest.approx(1)


def test_recentring_by_whole_pixels_does_not_change_the_values():
    off = np.zeros((15, 15))
    off[1:4, 9:12] = families.gaussian(0.7, size=3)
    recentred = window.recentre_kernel(off)
    assert recentred.shape == (3, 3)
    np.testing.assert_allclose(recentred, families.gaussian(0.7, size=3), atol=1e-12)


def test_recentring_keeps_a_long_tail():
    off = np.zeros((15, 15))
    off[7, 0], off[7, 14] = 0.9, 0.1  # its centre lies at column 1.4
    recentred = window.recentre_kernel(off)
    assert len(recentred) > 2 * 12
    assert recentred[len(recentred) // 2, len(recentred) // 2 + 10 :].sum() == pytest.approx(0.1, abs=0.01)


def test_a_centred_kernel_is_returned_unchanged():
    for k in (families.delta(), families.gaussian(4.0), families.gaussian(2.6, 1, 30)):
        assert window.recentre_kernel(k) is k


def test_a_centre_of_mass_outside_of_the_kernel_is_refused():
    with pytest.raises(InputError, match="centre of mass"):
        window.recentre_kernel(np.pad([[1, 0, 0, 0, 0, 0, -0.9]], [(3, 3), (0, 0)]))
