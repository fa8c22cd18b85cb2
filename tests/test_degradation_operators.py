"""Blur, bicubic and direct resampling against independent float64 references."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from example_degradations import (
    SCALES,
    assert_close,
    asymmetric_kernels,
    linear_ramps,
    random_picture,
    resize_by_loops,
    without_border,
)
from srmd.degradation import _correlate_by_fft, blur, downsample, imresize, modcrop, upsample


def test_blur_equals_scipys_correlation_with_replicated_borders():
    pictures, kernels = random_picture(2, 3, 20, 17), asymmetric_kernels(2)
    blurred = blur(pictures, kernels)
    for n in range(2):
        for c in range(3):
            expected = scipy.ndimage.correlate(pictures[n, c].numpy(), kernels[n].numpy(), mode="nearest")
            assert_close(blurred[n, c], expected, 1e-12)


@pytest.mark.parametrize("size", [1, 3, 9, 21])
def test_blur_takes_kernels_of_any_odd_size_including_larger_than_the_picture(size):
    picture, k = random_picture(1, 1, 6, 5), asymmetric_kernels(1, size)
    expected = scipy.ndimage.correlate(picture[0, 0].numpy(), k[0].numpy(), mode="nearest")
    assert_close(blur(picture, k)[0, 0], expected, 1e-12)


def test_a_tap_right_of_the_middle_shifts_the_picture_to_the_left():
    k = torch.zeros(1, 15, 15, dtype=torch.float64)
    k[0, 7, 8] = 1
    picture = random_picture(1, 3, 9, 9)
    assert_close(blur(picture, k)[..., :-1], picture[..., 1:], 0)


@pytest.mark.parametrize("size", [17, 101])
def test_blur_with_large_kernels_equals_scipys_correlation(size):
    pictures, kernels = random_picture(2, 3, 33, 20), asymmetric_kernels(2, size)
    expected = [scipy.ndimage.correlate(p, k[None], mode="nearest") for p, k in zip(pictures, kernels, strict=True)]
    assert_close(blur(pictures, kernels), torch.from_numpy(np.stack(expected)), 1e-12)


@pytest.mark.parametrize("size", [1, 9, 15])
def test_blur_by_fft_equals_blur_tap_by_tap(size):
    pictures, kernels = random_picture(2, 3, 33, 20), asymmetric_kernels(2, size)
    padded = torch.nn.functional.pad(pictures, [size // 2] * 4, mode="replicate")
    assert_close(_correlate_by_fft(padded, kernels), blur(pictures, kernels), 1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_downsampling_equals_matlabs_imresize_including_borders(scale):
    picture = random_picture(1, 2, 7 * scale, 5 * scale)
    small = downsample(picture, scale)
    for c in range(2):
        assert_close(small[0, c], resize_by_loops(picture[0, c].numpy(), 7, 5), 1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_upsampling_equals_matlabs_imresize_including_borders(scale):
    picture = random_picture(1, 2, 7, 5)
    large = upsample(picture, scale)
    for c in range(2):
        assert_close(large[0, c], resize_by_loops(picture[0, c].numpy(), 7 * scale, 5 * scale), 1e-12)


@pytest.mark.parametrize(
    ("old", "new"), [((17, 23), (8, 9)), ((9, 7), (20, 15)), ((15, 11), (7, 26)), ((3, 2), (1, 5))]
)
def test_imresize_equals_matlabs_for_odd_sizes_and_different_scales_per_axis(old, new):
    picture = random_picture(1, 1, *old)
    assert_close(imresize(picture, *new)[0, 0], resize_by_loops(picture[0, 0].numpy(), *new), 1e-12)


@pytest.mark.parametrize(("old", "new"), [((48, 36), (24, 18)), ((48, 36), (12, 9)), ((16, 12), (48, 36))])
def test_imresize_agrees_with_pillow_on_a_mirrored_picture(old, new):
    """An independent implementation: away from the border Pillow's bicubic equals MATLAB's."""
    picture = random_picture(1, 1, *old)
    mirrored = np.pad(picture[0, 0].numpy(), [(n, n) for n in old], mode="symmetric").astype(np.float32)
    by_pillow = Image.fromarray(mirrored).resize((3 * new[1], 3 * new[0]), Image.Resampling.BICUBIC)
    assert_close(imresize(picture, *new)[0, 0], np.asarray(by_pillow)[new[0] : -new[0], new[1] : -new[1]], 2e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_an_lr_pixel_lies_in_the_middle_of_its_hr_pixels(scale):
    """LR pixel i covers HR pixels s·i to s·i + s - 1: a linear ramp keeps its values at their centres, in both ways."""
    hr, lr = linear_ramps(scale)
    assert_close(without_border(downsample(hr, scale), 4), without_border(lr, 4), 1e-9)
    assert_close(without_border(upsample(lr, scale), 4 * scale), without_border(hr, 4 * scale), 1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_the_direct_downsampler_takes_pixel_s_div_2_of_each_block(scale):
    picture = random_picture(1, 3, 4 * scale, 5 * scale)
    expected = [[picture[0, :, r * scale + scale // 2, c * scale + scale // 2] for c in range(5)] for r in range(4)]
    small = downsample(picture, scale, "direct")
    assert small.shape == (1, 3, 4, 5)
    for r in range(4):
        for c in range(5):
            assert_close(small[0, :, r, c], expected[r][c], 0)


def test_modcrop_removes_the_last_rows_and_columns_that_fill_no_lr_pixel():
    picture = random_picture(1, 3, 11, 9)
    assert_close(modcrop(picture, 4), picture[..., :8, :8], 0)
    assert_close(modcrop(picture, 3), picture[..., :9, :], 0)
    assert_close(modcrop(picture, 1), picture, 0)
