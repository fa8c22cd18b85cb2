"""Properties of P and of kernel codes."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from plain_kernels import asymmetric_kernel, gaussian_by_loops
from published import PCA, needs_networks
from srmd.base.errors import InputError
from srmd.kernel import families
from srmd.kernel import pca as kernel_pca

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pca():
    return kernel_pca.pca_matrix()


def code_by_loops(k, pca):
    """Column-major: tap (row, column) is multiplied by column 15·column + row of P."""
    return np.array([sum(p[15 * c + r] * k[r, c] for c in range(15) for r in range(15)) for p in np.float64(pca)])


# --- P and codes


def test_the_rows_of_p_are_orthonormal(pca):
    assert pca.shape == (15, 225)
    assert pca.dtype == np.float32
    np.testing.assert_allclose(np.float64(pca) @ np.float64(pca).T, np.eye(15), atol=1e-6)


def test_the_rows_of_p_are_symmetric_under_a_turn_by_180_degrees(pca):
    rows = pca.reshape(15, 15, 15)
    np.testing.assert_allclose(rows, rows[:, ::-1, ::-1], atol=1e-5)


def test_p_is_reproducible(pca):
    np.testing.assert_array_equal(kernel_pca.pca_matrix(), pca)


@pytest.mark.parametrize(
    ("parameters", "bound"),
    [((0.2, 0.2, 0), 0.01), ((1.3, 1.3, 0), 0.015), ((2.6, 2.6, 0), 0.012), ((4, 4, 0), 0.045), ((2.6, 1, 30), 0.045)],
)
def test_a_code_of_15_numbers_represents_the_kernels_of_every_scale(pca, parameters, bound):
    k = gaussian_by_loops(*parameters)
    vector, rows = k.flatten(order="F"), np.float64(pca)
    assert np.linalg.norm(vector - rows.T @ (rows @ vector)) < bound * np.linalg.norm(vector)


def test_codes_are_linear_in_the_kernel(pca):
    a, b = (kernel_pca.kernel_codes(k, pca) for k in (families.gaussian(1.3), families.gaussian(2.6, 1.0, 30)))
    mixed = 0.3 * families.gaussian(1.3) + 0.7 * families.gaussian(2.6, 1.0, 30)
    np.testing.assert_allclose(kernel_pca.kernel_codes(mixed, pca), 0.3 * a + 0.7 * b, atol=1e-7)


def test_a_code_is_p_times_the_kernel_in_column_major_order(pca):
    k = np.random.default_rng(0).random((15, 15))
    np.testing.assert_allclose(kernel_pca.kernel_codes(k, pca), code_by_loops(k, pca), atol=1e-4)


def test_codes_of_several_kernels_equal_those_of_each_in_numpy_and_torch(pca):
    kernels = np.random.default_rng(1).random((2, 3, 15, 15))
    codes = kernel_pca.kernel_codes(kernels, pca)
    assert codes.shape == (2, 3, 15)
    np.testing.assert_allclose(codes[1, 2], code_by_loops(kernels[1, 2], pca), atol=1e-4)
    by_torch = kernel_pca.kernel_codes(torch.from_numpy(kernels), torch.from_numpy(pca).double())
    np.testing.assert_allclose(by_torch.numpy(), codes, atol=1e-4)


def test_a_kernel_and_the_kernel_turned_by_180_degrees_have_equal_codes(pca):
    k = np.random.default_rng(2).random((15, 15))
    np.testing.assert_allclose(kernel_pca.kernel_codes(k, pca), kernel_pca.kernel_codes(k[::-1, ::-1], pca), atol=1e-3)


@pytest.fixture(scope="module")
def published():
    return scipy.io.loadmat(PCA)["P"]


@needs_networks
class TestThePublishedP:
    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [((0.5,), 0.03), ((1.3,), 0.018), ((2.6,), 0.012), ((4.0,), 0.15), ((2.6, 1, 30), 0.06), ((3, 0.5, 30), 0.25)],
    )
    def test_represents_kernels_with_the_errors_measured_before(self, published, parameters, expected):
        k = families.gaussian(*parameters)
        code = kernel_pca.kernel_codes(k, published)
        error = np.linalg.norm(k.flatten(order="F") - published.T @ code) / np.linalg.norm(k)
        assert error == pytest.approx(expected, rel=0.06)

    def test_row_major_order_changes_the_signs_of_four_codes(self, published):
        """Codes 1, 5, 6 and 11 of an oriented kernel change their sign in row-major order; no others do."""
        k = families.gaussian(2.6, 1.0, 30)
        column_major, row_major = kernel_pca.kernel_codes(k, published), published @ k.flatten(order="C")
        signs = np.ones(15)
        signs[[1, 5, 6, 11]] = -1
        np.testing.assert_allclose(column_major, signs * row_major, atol=1e-5)
        np.testing.assert_allclose(column_major[[1, 5, 6, 11]], [-0.0110, 0.0043, -0.0230, -0.0344], atol=1e-3)

    def test_gives_delta_the_code_of_width_0_2(self, published):
        codes = kernel_pca.kernel_codes(np.stack([families.delta(), families.gaussian(0.2)]), published)
        assert np.abs(codes[0] - codes[1]).max() < 2e-5


# --- files


@pytest.fixture
def kernel_file(tmp_path):
    """A function that saves arrays to a .mat file and returns its path as text."""

    def save(name="k.mat", **arrays):
        scipy.io.savemat(tmp_path / name, arrays)
        return str(tmp_path / name)

    return save


def test_the_shipped_p_equals_a_newly_computed_one(pca):
    assert kernel_pca.read_pca(ROOT / "kernels" / "pca.mat").dtype == np.float32
    np.testing.assert_allclose(kernel_pca.read_pca(ROOT / "kernels" / "pca.mat"), pca, atol=1e-6)


def test_a_mat_without_p_is_refused_with_its_name(kernel_file):
    for arrays in ({"kernel": asymmetric_kernel()}, {"P": asymmetric_kernel()[:, :13]}):
        with pytest.raises(InputError, match=r"k\.mat"):
            kernel_pca.read_pca(Path(kernel_file(**arrays)))
