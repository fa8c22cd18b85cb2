"""The messages that a test logs before it starts."""

from pathlib import Path

import numpy as np

from srmd.config import NamedDegradation, NamedKernel, NamedMap
from srmd.config import TestRequest as Request
from srmd.config import TestSettings as Settings
from srmd.evaluate.announcement import degradation_pictures, kernel_warnings
from srmd.kernel.families import delta, gaussian


def settings(kernels: list[NamedKernel], noise: float | NamedMap, regions: NamedMap | None = None) -> Settings:
    degradation = NamedDegradation(kernels, noise, regions)
    return Settings(Request(Path("weights"), Path("output"), kernels), degradation, degradation, "bicubic")


def test_a_kernel_that_the_window_cuts_is_warned_of():
    large = np.zeros((21, 21))
    large[10, 10], large[10, 0], large[10, 20] = 0.75, 0.125, 0.125
    (warning,) = kernel_warnings(NamedKernel("k.npy", large), 15, 0)
    assert warning == "k.npy is 21×21; the kernel code describes only its inner 15×15, which lacks 25% of its mass"
    assert kernel_warnings(NamedKernel("k.npy", np.pad(gaussian(2), 3)), 15, 0) == []  # only zeros are cut


def test_a_kernel_that_shifts_pictures_is_warned_of_by_rows_and_columns():
    shifting = np.roll(gaussian(0.8), (1, -2), (0, 1))
    (warning,) = kernel_warnings(NamedKernel("k.npy", shifting), 15, 0)
    assert "centre of mass lies +1.0 rows and -2.0 columns from its middle" in warning
    assert "`recentre_kernel` moves it to the middle" in warning


def test_a_kernel_code_error_above_5_percent_is_warned_of():
    kernel = NamedKernel("k.npy", gaussian(1))
    assert "describes the kernel k.npy badly" in kernel_warnings(kernel, 15, 0.051)[0]
    assert kernel_warnings(kernel, 15, 0.049) == []


def test_kernels_regions_and_noise_map_are_shown_on_the_dashboard():
    kernels = [NamedKernel("delta", delta()), NamedKernel("large.npy", gaussian(2, size=21))]
    regions = NamedMap(Path("labels.png"), np.eye(6, dtype=np.uint8))
    pictures = degradation_pictures(settings(kernels, NamedMap(Path("n.npy"), np.eye(3)), regions))
    assert {window: caption for window, (_, caption) in pictures.items()} == {
        "kernel": "kernel: delta, large.npy",
        "regions": "regions: labels.png; black: the first kernel",
        "noise map": "noise map: n.npy; black: 0, white: 255",
    }
    assert pictures["kernel"][0].shape == (8 * 21, 2 * 8 * 21, 3)
    assert np.array_equal(pictures["regions"][0][..., 1], 255 * np.eye(6))
    assert np.array_equal(pictures["noise map"][0][..., 1], np.eye(3))
    assert degradation_pictures(settings(kernels[:1], 0.0)).keys() == {"kernel"}
