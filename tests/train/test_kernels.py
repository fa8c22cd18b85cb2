"""The kernels that a network is trained on, and the P computed from them."""

from pathlib import Path

import numpy as np
import pytest

from default_pca import default_pca
from srmd.base.errors import InputError
from srmd.kernel.families import delta, gaussian, random_kernels
from srmd.kernel.motion import motion_kernels
from srmd.kernel.pca import code_error
from srmd.train.kernels import TrainingKernels, read_own_kernels


def motions(count: int = 200, size: int = 15, seed: int = 0) -> np.ndarray:
    return motion_kernels(np.random.default_rng(seed), count, size).astype(np.float32)


def are_among(kernels: np.ndarray, own_kernels: np.ndarray) -> np.ndarray:
    """Which of the kernels (n, k, k) are among the own kernels, (n,)."""
    return (np.abs(kernels[:, None] - own_kernels[None]).max((2, 3)) < 1e-7).any(1)


def test_without_own_kernels_all_are_random_gaussians():
    drawn = TrainingKernels().draw(np.random.default_rng(3), 50, 2)
    np.testing.assert_array_equal(drawn, random_kernels(np.random.default_rng(3), 50, 2))


@pytest.mark.parametrize(("gaussian_share", "own_share"), [(0, 1), (0.25, pytest.approx(0.75, abs=0.1)), (1, 0)])
def test_gaussians_have_the_share_asked_for(gaussian_share: float, own_share: float):
    own = motions(4)
    drawn = TrainingKernels(15, own, gaussian_share).draw(np.random.default_rng(0), 400, 2)
    assert are_among(drawn, own).mean() == own_share


def test_own_kernels_are_drawn_unchanged_and_about_equally_often():
    own = motions(5)
    drawn = TrainingKernels(15, own, 0).draw(np.random.default_rng(0), 200, 3)
    counts = [are_among(drawn, kernel[None]).sum() for kernel in own]
    assert min(counts) > 20
    assert sum(counts) == 200


def test_kernels_in_a_smaller_window_are_those_in_a_larger_one_cropped():
    drawn = TrainingKernels(21).draw(np.random.default_rng(1), 50, 4)
    assert drawn.shape == (50, 21, 21)
    np.testing.assert_allclose(drawn.sum((1, 2)), 1)
    inner = drawn[:, 3:-3, 3:-3]
    small = TrainingKernels(15).draw(np.random.default_rng(1), 50, 4)
    np.testing.assert_allclose(inner / inner.sum((1, 2), keepdims=True), small, atol=1e-12)


@pytest.mark.parametrize("size", [15, 21])
@pytest.mark.parametrize("dim", [15, 40])
def test_p_is_orthonormal_and_has_the_size_asked_for(size: int, dim: int):
    pca = TrainingKernels(size, motions(300, size), 0.5).pca(dim)
    assert pca.shape == (dim, size**2)
    assert pca.dtype == np.float32
    np.testing.assert_allclose(np.float64(pca) @ np.float64(pca).T, np.eye(dim), atol=1e-5)


def test_p_of_gaussians_alone_is_the_project_s():
    np.testing.assert_allclose(TrainingKernels().pca(15), default_pca().numpy(), atol=1e-6)


def test_p_of_motions_describes_other_motions_better_than_p_of_gaussians_and_gaussians_still():
    held_out, kernels = motions(50, seed=1), TrainingKernels(15, motions(1000), 0.5)

    def median_error(pca: np.ndarray) -> float:
        return np.median([code_error(kernel, pca) for kernel in held_out])

    matrices = default_pca().numpy(), kernels.pca(15), kernels.pca(60)
    of_gaussians, of_both, larger = (median_error(pca) for pca in matrices)
    assert of_gaussians > of_both + 0.05 > larger + 0.2
    assert code_error(gaussian(1.3), kernels.pca(15)) < 0.1
    assert code_error(gaussian(2.6, 1, 30), kernels.pca(60)) < 0.05


def test_a_code_longer_than_the_dimensions_of_the_kernels_is_refused():
    kernels = TrainingKernels(15, motions(9), 0)
    assert kernels.pca(9).shape == (9, 225)
    with pytest.raises(InputError, match="expected at most 9, the dimensions that the training kernels span, found 10"):
        kernels.pca(10)


def test_kernels_are_read_from_a_file_or_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    own = motions(6)
    np.save(tmp_path / "b.npy", own[1:])
    np.save(tmp_path / "a.npy", 7 * own[0])
    (tmp_path / "README.md").write_text("no kernel")
    np.testing.assert_allclose(read_own_kernels(tmp_path / "b.npy", 15), own[1:], atol=1e-7)
    kernels = read_own_kernels(tmp_path, 15)
    assert kernels.dtype == np.float32
    np.testing.assert_allclose(kernels, own, atol=1e-7)
    assert caplog.text == ""


def test_broken_files_of_a_folder_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    np.save(tmp_path / "good.npy", motions(1)[0])
    (tmp_path / "broken.mat").write_text("no kernel")
    assert read_own_kernels(tmp_path, 15).shape == (1, 15, 15)
    assert "left out: " in caplog.text
    assert "broken.mat" in caplog.text
    (tmp_path / "good.npy").unlink()
    with pytest.raises(InputError, match="found none that can be read"):
        read_own_kernels(tmp_path, 15)


def test_small_kernels_are_padded_and_large_ones_cropped_if_little_is_lost(tmp_path: Path):
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    np.testing.assert_allclose(read_own_kernels(tmp_path / "k.npy", 15)[0], np.pad(np.full((3, 3), 1 / 9), 6))
    np.save(tmp_path / "k.npy", delta(31))
    np.testing.assert_array_equal(read_own_kernels(tmp_path / "k.npy", 15)[0], delta())


def test_a_kernel_larger_than_the_window_is_refused_with_the_window_that_holds_it(tmp_path: Path):
    np.save(tmp_path / "k.npy", gaussian(5, size=31))
    with pytest.raises(InputError, match=r"k\.npy: a window of 15×15 holds \d\d% .*; `kernel_size=31` holds it all"):
        read_own_kernels(tmp_path / "k.npy", 15)
    assert read_own_kernels(tmp_path / "k.npy", 31).shape == (1, 31, 31)
