"""kernel.py: families against their definitions, files in and out, and the laws of P."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from published import PCA, needs_networks

import kernel
from errors import InputError

ROOT = Path(__file__).parent.parent
SHIPPED = ["delta", "isotropic_0.7", "isotropic_1.3", "isotropic_2.0", "isotropic_2.6"]
SHIPPED += ["anisotropic_2.6_1.0_30", "anisotropic_3.0_1.5_120", "asymmetric"]
BAD_SPECS = ["", "gauss", "gaussian", "absent.mat", "absent.npy", "kernel.jpg", "gaussian:", "gaussian:wide"]
BAD_SPECS += [f"gaussian:{x}" for x in ("0", "-1", "nan", "inf", "1,2", "2,1,30,4", "2,0,30", "1,2,30", "2,1,nan")]


@pytest.fixture(scope="module")
def pca():
    return kernel.pca_matrix()


def gaussian_by_loops(width1, width2, degrees, size=15):
    """An oriented Gaussian straight from its covariance matrix, one tap at a time."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    precision = np.linalg.inv(turn @ np.diag([width1**2, width2**2]) @ turn.T)
    k = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            xy = np.array([column - size // 2, row - size // 2], dtype=float)
            k[row, column] = math.exp(-0.5 * xy @ precision @ xy)
    return k / k.sum()


def moments(k):
    """Centre of mass (column, row) and 2×2 covariance in (column, row), summed in loops."""
    half = len(k) // 2
    points = [(k[r, c], np.array([c - half, r - half], dtype=float)) for r in range(len(k)) for c in range(len(k))]
    mean = sum(w * p for w, p in points)
    return mean, sum(w * np.outer(p - mean, p - mean) for w, p in points)


def only(spec):
    """The one kernel that a spec means."""
    (found,) = kernel.parse_kernels(spec)
    return found


def code_by_loops(k, pca):
    """Column-major: tap (row, column) meets P's column 15·column + row."""
    return np.array([sum(p[15 * c + r] * k[r, c] for c in range(15) for r in range(15)) for p in np.float64(pca)])


# --- families


@pytest.mark.parametrize("width", [0.2, 0.7, 1.3, 2.6, 4.0])
def test_an_isotropic_gaussian_is_the_sampled_cut_and_normalised_exponential(width):
    np.testing.assert_allclose(kernel.gaussian(width), gaussian_by_loops(width, width, 0), atol=1e-14)


def test_the_isotropic_gaussian_has_the_values_that_fspecial_gives():
    """fspecial('gaussian', 3, 0.5), as MATLAB's documentation prints it."""
    expected = [[0.0113, 0.0838, 0.0113], [0.0838, 0.6193, 0.0838], [0.0113, 0.0838, 0.0113]]
    np.testing.assert_allclose(kernel.gaussian(0.5, size=3), expected, atol=6e-5)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 179])
def test_an_oriented_gaussian_is_the_one_of_its_covariance(degrees):
    np.testing.assert_allclose(kernel.gaussian(2.6, 1.0, degrees), gaussian_by_loops(2.6, 1.0, degrees), atol=1e-14)


def test_the_long_axis_lies_along_cosine_and_sine_in_column_and_row():
    """30 degrees, off the axes and off 45: rows first, or rows growing upwards, would point elsewhere."""
    _, covariance = moments(kernel.gaussian(2.0, 0.9, 30))
    variances, axes = np.linalg.eigh(covariance)
    long_axis = axes[:, 1] * np.sign(axes[0, 1])
    np.testing.assert_allclose(long_axis, [math.cos(math.radians(30)), 0.5], atol=5e-3)
    np.testing.assert_allclose(np.sqrt(variances), [0.9, 2.0], rtol=0.02)


def test_arrays_of_widths_give_the_same_kernels_as_scalars_do():
    width1, width2, angle = np.array([0.8, 2.6, 3.0]), np.array([0.5, 1.0, 1.5]), np.array([10.0, 30.0, 120.0])
    together = kernel.gaussian(width1, width2, angle)
    assert together.shape == (3, 15, 15)
    for i, k in enumerate(together):
        np.testing.assert_array_equal(k, kernel.gaussian(width1[i], width2[i], angle[i]))
    np.testing.assert_array_equal(kernel.gaussian(width1)[1], kernel.gaussian(2.6))


def test_delta_has_a_single_one_in_the_middle():
    k = kernel.delta()
    assert k.shape == (15, 15)
    assert k[7, 7] == 1
    assert np.count_nonzero(k) == 1


# --- training's kernels


@pytest.fixture(scope="module")
def drawn():
    return {s: kernel.random_kernels(np.random.default_rng(s), 4000, s) for s in (1, 2, 3, 4)}


def parameters(kernels):
    """Variances (N, 2) ascending and the long axis's angle (N,) of sampled Gaussians, read off four of their taps."""
    middle, right, below, corner = (np.log(kernels[:, r, c]) for r, c in [(7, 7), (7, 8), (8, 7), (8, 8)])
    xx, yy = 2 * (middle - right), 2 * (middle - below)
    xy = middle - corner - (xx + yy) / 2
    precision, axes = np.linalg.eigh(np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2))
    return 1 / precision[:, ::-1], np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0])) % 180


def blurring(kernels):
    return kernels[kernels[:, 7, 7] < 1]


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_training_kernels_are_15_by_15_positive_sum_to_one_and_are_centred(drawn, scale):
    kernels = drawn[scale]
    assert kernels.shape == (4000, 15, 15)
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-12)
    np.testing.assert_allclose(kernels, kernels[:, ::-1, ::-1], atol=1e-12)  # even, so the centre of mass is the middle


def test_one_training_kernel_in_twenty_does_not_blur(drawn):
    for kernels in drawn.values():
        share = np.mean(kernels[:, 7, 7] == 1)
        assert 0.035 < share < 0.075  # narrow Gaussians (width 0.2) come close to a delta, too


def test_half_of_the_blurring_training_kernels_are_isotropic(drawn):
    for kernels in drawn.values():
        small, large = parameters(blurring(kernels))[0].T
        assert 0.46 < np.mean(large / small < 1 + 1e-6) < 0.54


@pytest.mark.parametrize(("scale", "widest", "largest"), [(1, 2.6, 8), (2, 2.6, 8), (3, 3, 8), (4, 4, 10)])
def test_training_kernels_fill_the_range_of_their_scale_and_stay_inside(drawn, scale, widest, largest):
    small, large = parameters(blurring(drawn[scale]))[0].T
    isotropic = large / small < 1 + 1e-6
    widths, variances = np.sqrt(small[isotropic]), np.stack([small, large])[:, ~isotropic]
    for values, low, high in [(widths, 0.2, widest), (variances, 0.5, largest)]:
        assert low - 1e-6 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-6
        assert np.mean(values) == pytest.approx((low + high) / 2, rel=0.05)  # evenly


def test_oriented_training_kernels_point_everywhere(drawn):
    variances, angles = parameters(blurring(drawn[2]))
    counts, _ = np.histogram(angles[variances[:, 1] / variances[:, 0] > 1.1], bins=12, range=(0, 180))
    assert counts.min() > 0.7 * counts.mean()


def test_the_same_seed_draws_the_same_kernels_and_another_draws_others():
    first, again, other = (kernel.random_kernels(np.random.default_rng(seed), 8, 2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


# --- P and codes


def test_the_rows_of_p_are_orthonormal(pca):
    assert pca.shape == (15, 225)
    assert pca.dtype == np.float32
    np.testing.assert_allclose(np.float64(pca) @ np.float64(pca).T, np.eye(15), atol=1e-6)


def test_the_rows_of_p_are_even_under_a_half_turn(pca):
    rows = pca.reshape(15, 15, 15)
    np.testing.assert_allclose(rows, rows[:, ::-1, ::-1], atol=1e-5)


def test_p_is_made_the_same_twice(pca):
    np.testing.assert_array_equal(kernel.pca_matrix(), pca)


@pytest.mark.parametrize(
    ("parameters", "bound"),
    [((0.2, 0.2, 0), 0.01), ((1.3, 1.3, 0), 0.015), ((2.6, 2.6, 0), 0.012), ((4, 4, 0), 0.045), ((2.6, 1, 30), 0.045)],
)
def test_fifteen_numbers_hold_the_kernels_of_every_scale(pca, parameters, bound):
    k = gaussian_by_loops(*parameters)
    vector, rows = k.flatten(order="F"), np.float64(pca)
    assert np.linalg.norm(vector - rows.T @ (rows @ vector)) < bound * np.linalg.norm(vector)


def test_codes_are_linear_for_p_is_not_centred(pca):
    a, b = (kernel.kernel_codes(k, pca) for k in (kernel.gaussian(1.3), kernel.gaussian(2.6, 1.0, 30)))
    mixed = 0.3 * kernel.gaussian(1.3) + 0.7 * kernel.gaussian(2.6, 1.0, 30)
    np.testing.assert_allclose(kernel.kernel_codes(mixed, pca), 0.3 * a + 0.7 * b, atol=1e-7)


def test_a_code_is_p_times_the_columns_of_the_kernel_one_after_another(pca):
    k = np.random.default_rng(0).random((15, 15))
    np.testing.assert_allclose(kernel.kernel_codes(k, pca), code_by_loops(k, pca), atol=1e-4)


def test_codes_of_many_kernels_equal_those_of_each_in_numpy_and_in_torch(pca):
    kernels = np.random.default_rng(1).random((2, 3, 15, 15))
    codes = kernel.kernel_codes(kernels, pca)
    assert codes.shape == (2, 3, 15)
    np.testing.assert_allclose(codes[1, 2], code_by_loops(kernels[1, 2], pca), atol=1e-4)
    by_torch = kernel.kernel_codes(torch.from_numpy(kernels), torch.from_numpy(pca).double())
    np.testing.assert_allclose(by_torch.numpy(), codes, atol=1e-4)


def test_correlation_and_convolution_have_one_code(pca):
    k = np.random.default_rng(2).random((15, 15))
    np.testing.assert_allclose(kernel.kernel_codes(k, pca), kernel.kernel_codes(k[::-1, ::-1], pca), atol=1e-3)


@pytest.fixture(scope="module")
def published():
    return scipy.io.loadmat(PCA)["P"]


@needs_networks
class TestThePublishedP:
    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [((0.5,), 0.03), ((1.3,), 0.018), ((2.6,), 0.012), ((4.0,), 0.15), ((2.6, 1, 30), 0.06), ((3, 0.5, 30), 0.25)],
    )
    def test_holds_our_kernels_as_well_as_measured_before(self, published, parameters, expected):
        k = kernel.gaussian(*parameters)
        code = kernel.kernel_codes(k, published)
        error = np.linalg.norm(k.flatten(order="F") - published.T @ code) / np.linalg.norm(k)
        assert error == pytest.approx(expected, rel=0.06)

    def test_tells_rows_first_from_columns_first_by_the_signs_of_four_codes(self, published):
        """Codes 1, 5, 6 and 11 of an oriented kernel change sign when it is read rows first, and no others do."""
        k = kernel.gaussian(2.6, 1.0, 30)
        right, rows_first = kernel.kernel_codes(k, published), published @ k.flatten(order="C")
        signs = np.ones(15)
        signs[[1, 5, 6, 11]] = -1
        np.testing.assert_allclose(right, signs * rows_first, atol=1e-5)
        np.testing.assert_allclose(right[[1, 5, 6, 11]], [-0.0110, 0.0043, -0.0230, -0.0344], atol=1e-3)

    def test_gives_no_blur_the_code_of_width_a_fifth(self, published):
        codes = kernel.kernel_codes(np.stack([kernel.delta(), kernel.gaussian(0.2)]), published)
        assert np.abs(codes[0] - codes[1]).max() < 2e-5


# --- specs, windows


@pytest.fixture
def kernel_file(tmp_path):
    """Saves arrays as a .mat and gives its path as text."""

    def save(name="k.mat", **arrays):
        scipy.io.savemat(tmp_path / name, arrays)
        return str(tmp_path / name)

    return save


def skewed(size=15):
    k = np.random.default_rng(3).random((size, size))
    return k / k.sum()


def test_the_specs_of_families_mean_delta_and_gaussians():
    np.testing.assert_array_equal(only("delta"), kernel.delta())
    np.testing.assert_allclose(only("gaussian:1.3"), gaussian_by_loops(1.3, 1.3, 0), atol=1e-14)
    np.testing.assert_allclose(only("gaussian:2.6,1.0,30"), gaussian_by_loops(2.6, 1, 30), atol=1e-14)


@pytest.mark.parametrize("spec", BAD_SPECS)
def test_a_spec_that_means_no_kernel_is_named_in_one_line(spec):
    with pytest.raises(InputError) as error:
        kernel.parse_kernels(spec)
    assert spec in str(error.value)
    assert "\n" not in str(error.value)


def test_a_small_kernel_is_padded_and_a_large_one_cropped_about_its_middle():
    small, large = skewed(5), skewed(21)
    padded, cropped = kernel.fit_kernel(small, 15), kernel.fit_kernel(large, 15)
    np.testing.assert_allclose(padded[5:10, 5:10], small)
    assert padded.shape == (15, 15)
    assert np.count_nonzero(padded) == 25
    np.testing.assert_allclose(cropped, large[3:18, 3:18] / large[3:18, 3:18].sum())


def test_what_a_window_cuts_counts_by_absolute_values():
    k = np.zeros((5, 5))
    k[2, 2], k[0, 0], k[4, 4] = 1, -0.25, 0.25
    assert kernel.lost_share(k, 3) == pytest.approx(1 / 3)
    assert kernel.lost_share(k, 5) == kernel.lost_share(k, 15) == 0


# --- centres of mass


def test_the_centre_of_mass_is_in_rows_and_columns_from_the_middle():
    k = np.roll(kernel.gaussian(0.7), (2, -3), (0, 1))
    np.testing.assert_allclose(kernel.off_centre(k), [2, -3], atol=1e-9)
    column_row, _ = moments(skewed())
    np.testing.assert_allclose(kernel.off_centre(skewed()), column_row[::-1], atol=1e-12)


@pytest.mark.parametrize(("row", "column"), [(0.5, 0.5), (-0.3, 1.7), (4.25, -3.5)])
def test_a_recentred_gaussian_is_the_one_drawn_in_the_middle(row, column):
    """Linear interpolation is off by 0.02 to 0.09 here."""
    rows, columns = np.mgrid[:25, :25] - 12
    off = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.3**2))
    found = kernel.fit_kernel(kernel.recentred(off / off.sum()), 15)
    assert np.linalg.norm(found - kernel.gaussian(1.3)) < 0.007 * np.linalg.norm(found)
    np.testing.assert_allclose(kernel.off_centre(found), 0, atol=2e-4)
    assert found.sum() == pytest.approx(1)


def test_whole_pixels_move_a_kernel_without_changing_it():
    off = np.zeros((15, 15))
    off[1:4, 9:12] = kernel.gaussian(0.7, size=3)
    found = kernel.recentred(off)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, kernel.gaussian(0.7, size=3), atol=1e-12)


def test_recentring_loses_nothing_of_a_long_tail():
    off = np.zeros((15, 15))
    off[7, 0], off[7, 14] = 0.9, 0.1  # its centre lies at column 1.4
    found = kernel.recentred(off)
    assert len(found) > 2 * 12
    assert found[len(found) // 2, len(found) // 2 + 10 :].sum() == pytest.approx(0.1, abs=0.01)


def test_a_centred_kernel_stays_as_it_is():
    for k in (kernel.delta(), kernel.gaussian(4.0), kernel.gaussian(2.6, 1, 30)):
        assert kernel.recentred(k) is k


def test_a_centre_of_mass_outside_of_the_kernel_is_refused():
    with pytest.raises(InputError, match="centre of mass"):
        kernel.recentred(np.pad([[1, 0, 0, 0, 0, 0, -0.9]], [(3, 3), (0, 0)]))


# --- the files that are shipped


def test_every_shipped_kernel_opens_in_scipy_under_one_key_and_sums_to_one():
    for name in SHIPPED:
        arrays = {k: a for k, a in scipy.io.loadmat(ROOT / "kernels" / f"{name}.mat").items() if k[0] != "_"}
        assert list(arrays) == ["kernel"], name
        assert arrays["kernel"].shape == (15, 15), name
        assert arrays["kernel"].sum() == pytest.approx(1, abs=1e-6), name


def test_the_shipped_files_equal_those_made_afresh(tmp_path):
    kernel.make_kernels(tmp_path / "kernels")
    made, shipped = (sorted(p.name for p in f.glob("*.mat")) for f in (tmp_path / "kernels", ROOT / "kernels"))
    assert made == shipped == sorted(f"{name}.mat" for name in [*SHIPPED, "pca"])
    for name in made:
        key = "P" if name == "pca.mat" else "kernel"
        fresh, ours = (scipy.io.loadmat(f / name)[key] for f in (tmp_path / "kernels", ROOT / "kernels"))
        np.testing.assert_allclose(fresh, ours, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", [name for name in SHIPPED if "isotropic" in name])
def test_a_shipped_gaussian_is_what_its_name_says(name):
    numbers = [float(number) for number in name.split("_")[1:]]
    expected = gaussian_by_loops(*(numbers if len(numbers) == 3 else [*numbers, *numbers, 0]))
    np.testing.assert_allclose(only(str(ROOT / "kernels" / f"{name}.mat")), expected, atol=1e-7)


def test_the_shipped_asymmetric_kernel_equals_none_of_its_turns_and_flips():
    k = scipy.io.loadmat(ROOT / "kernels" / "asymmetric.mat")["kernel"]
    turned = [np.rot90(m, n) for m in (k, k.T) for n in range(4)][1:]
    assert min(np.abs(k - t).sum() for t in turned) > 0.1


def test_the_shipped_p_is_read_as_it_was_made(pca):
    assert kernel.read_pca(ROOT / "kernels" / "pca.mat").dtype == np.float32
    np.testing.assert_allclose(kernel.read_pca(ROOT / "kernels" / "pca.mat"), pca, atol=1e-6)


def test_a_mat_that_holds_no_p_is_refused_with_its_name(kernel_file):
    for arrays in ({"kernel": skewed()}, {"P": skewed()[:, :13]}):
        with pytest.raises(InputError, match=r"k\.mat"):
            kernel.read_pca(Path(kernel_file(**arrays)))
