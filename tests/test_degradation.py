"""Laws of the degradation, and its result against an independent float64 reference."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from example_degradations import (
    SCALES,
    assert_close,
    asymmetric_kernels,
    linear_ramps,
    random_mix,
    random_picture,
    resize_by_loops,
    uniform_degradation,
    without_border,
)
from srmd.degradation import Degradation, border, degrade
from srmd.jpeg.codec import Compression
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.kernel.families import asymmetric, delta, gaussian, random_kernels
from srmd.pictures.dihedral import VIEWS, turn


def test_a_delta_kernel_at_scale_1_changes_nothing():
    hr = random_picture(2, 3, 20, 17)
    for downsampler in ("bicubic", "direct"):
        assert_close(degrade(hr, uniform_degradation(np.stack([delta()] * 2)), 1, downsampler), hr, 1e-14)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_a_constant_picture_stays_constant(scale, downsampler):
    hr = torch.full((2, 3, 6 * scale, 5 * scale), 0.37, dtype=torch.float64)
    assert_close(
        degrade(hr, uniform_degradation(asymmetric_kernels(2)), scale, downsampler), np.full((2, 3, 6, 5), 0.37), 1e-12
    )


@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_a_degradation_is_blur_then_downsampling_then_noise(downsampler):
    hr, k, noise = random_picture(1, 3, 18, 12), asymmetric_kernels(1), torch.randn(1, 3, 9, 6, dtype=torch.float64)
    lr = degrade(hr, uniform_degradation(k, 25.0), 2, downsampler, noise=noise)
    for c in range(3):
        blurred = scipy.ndimage.correlate(hr[0, c].numpy(), k[0].numpy(), mode="nearest")
        small = blurred[1::2, 1::2] if downsampler == "direct" else resize_by_loops(blurred, 9, 6)
        assert_close(lr[0, c], small + 25 / 255 * noise[0, c].numpy(), 1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_symmetric_kernels_do_not_shift_the_picture(scale):
    """A linear ramp, blurred by a symmetric kernel and downsampled, keeps its values at the LR pixels' centres."""
    kernels = torch.from_numpy(random_kernels(np.random.default_rng(0), 6, scale))
    hr, lr = (ramp.expand(6, 3, -1, -1) for ramp in linear_ramps(scale))
    assert_close(without_border(degrade(hr, uniform_degradation(kernels), scale), 9), without_border(lr, 9), 1e-9)


def test_a_batch_is_degraded_as_its_samples_one_by_one():
    hr, noise = random_picture(4, 3, 24, 20), torch.randn(4, 3, 12, 10, dtype=torch.float64)
    rounded = torch.tensor([True, False, True, False])
    levels = torch.tensor([0.0, 15, 50, 75], dtype=torch.float64)
    together = degrade(hr, Degradation.uniform(asymmetric_kernels(4), levels), 2, rounded=rounded, noise=noise)
    for i in range(4):
        one = slice(i, i + 1)
        alone = Degradation.uniform(asymmetric_kernels(4)[one], levels[one])
        assert_close(together[one], degrade(hr[one], alone, 2, rounded=rounded[one], noise=noise[one]), 1e-13)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_degrading_a_crop_equals_cropping_lr_inside_the_border(scale, downsampler):
    hr = random_picture(1, 3, 40 * scale, 40 * scale)
    whole = degrade(hr, uniform_degradation(asymmetric_kernels(1)), scale, downsampler)
    part = degrade(
        hr[..., 6 * scale : 32 * scale, 4 * scale : 30 * scale],
        uniform_degradation(asymmetric_kernels(1)),
        scale,
        downsampler,
    )
    assert border(scale) == math.ceil((7 + 2 * scale) / scale)  # half the kernel and the reach of bicubic
    assert_close(without_border(part, border(scale)), without_border(whole[..., 6:32, 4:30], border(scale)), 1e-13)


def test_each_pixel_of_a_mix_equals_a_uniform_degradation_with_its_mixed_kernel():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    lr = degrade(hr, mix, 2)
    for n, row, column in [(0, 0, 0), (0, 3, 8), (1, 7, 4), (1, 5, 0), (0, 4, 4)]:
        weights = mix.weights[n, :, row, column]
        kernel = sum(w * k for w, k in zip(weights, mix.kernels[n], strict=True))
        alone = degrade(hr[n : n + 1], uniform_degradation(kernel[None]), 2)
        assert_close(lr[n, :, row, column], alone[0, :, row, column], 1e-12)


def test_a_mix_in_float32_differs_from_float64_by_less_than_1e_6():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    single = Degradation(mix.kernels.float(), mix.noise_levels.float(), mix.weights.float())
    assert_close(degrade(hr.float(), single, 2), degrade(hr, mix, 2), 1e-6)


def test_a_mix_adds_one_noise_draw_scaled_by_the_mixed_level():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    noise = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    added = degrade(hr, mix, 2, noise=noise) - degrade(hr, mix, 2)
    for n, row, column in [(0, 0, 0), (1, 7, 8), (1, 2, 5)]:
        level = sum(
            float(w) * float(s) for w, s in zip(mix.weights[n, :, row, column], mix.noise_levels[n], strict=True)
        )
        assert_close(added[n, :, row, column], level / 255 * noise[n, :, row, column], 1e-13)


@pytest.mark.parametrize("parts", [1, 3])
def test_noise_levels_can_vary_per_pixel_with_one_or_several_kernels(parts: int):
    mix, hr, noise = random_mix(parts=parts), random_picture(2, 3, 16, 18), torch.randn(2, 3, 8, 9).double()
    levels = 50 * random_picture(2, 1, 8, 9, seed=5)
    mapped = Degradation(mix.kernels, levels.expand(-1, parts, -1, -1), mix.weights if parts > 1 else None)
    assert_close(degrade(hr, mapped, 2, noise=noise), degrade(hr, mix, 2) + levels / 255 * noise, 1e-12)


def test_a_mix_is_rounded_after_mixing():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    lr = degrade(hr, mix, 2, rounded=torch.tensor([True, True]))
    assert_close(lr, (degrade(hr, mix, 2).clamp(0, 1) * 255).round() / 255, 1e-13)


def test_only_the_marked_samples_are_rounded_to_8_bits():
    hr, degradation = (
        random_picture(2, 3, 16, 16),
        uniform_degradation(np.stack([delta()] * 2)),
    )  # full contrast, so that bicubic overshoots
    plain = degrade(hr, degradation, 2)
    lr = degrade(hr, degradation, 2, rounded=torch.tensor([True, False]))
    assert_close(lr[1], plain[1], 0)
    assert_close(lr[0], (plain[0].clamp(0, 1) * 255).round() / 255, 1e-13)


def test_without_rounding_overshoots_are_not_clipped():
    hr = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    hr[..., 7:] = 1
    lr = degrade(hr, uniform_degradation(delta()[None]), 2)
    assert lr.min() < -0.01
    assert lr.max() > 1.01


def test_lr_is_rounded_before_noise_and_not_clipped_after():
    hr, noise = random_picture(1, 3, 16, 16), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    lr = degrade(hr, uniform_degradation(asymmetric_kernels(1), 75.0), 2, rounded=torch.tensor([True]), noise=noise)
    levels = (lr - 75 / 255 * noise) * 255
    assert_close(levels, levels.round(), 1e-10)
    white = degrade(torch.ones_like(hr), uniform_degradation(asymmetric_kernels(1), 75.0), 2, noise=noise)
    assert_close(white, 1 + 75 / 255 * noise, 1e-12)


def test_lr_is_compressed_after_noise_is_added_and_clipped_before():
    hr, noise = random_picture(2, 3, 40, 36), torch.randn(2, 3, 20, 18, dtype=torch.float64)
    degradation = uniform_degradation(asymmetric_kernels(2), 25.0)
    tables = JpegTables.of_quality(60)
    arrays = np.array([[tables.luma, tables.chroma]])
    compression = Compression.of_arrays(np.array([1]), arrays, ["4:2:0"], np.zeros((1, 2), int))
    lr = degrade(hr, degradation, 2, noise=noise, compression=compression)
    plain = degrade(hr, degradation, 2, noise=noise)
    assert_close(lr[0], plain[0], 0)
    pixels = (plain[1].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert_close(lr[1], torch.from_numpy(compress_array(pixels, tables)).permute(2, 0, 1) / 255, 1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.float32, torch.float64])
def test_lr_has_the_dtype_of_hr_for_any_dtype_of_the_degradation(dtype, other):
    mix = random_mix()
    mix = Degradation(mix.kernels.to(other), mix.noise_levels.to(other), mix.weights.to(other))
    hr, noise = random_picture(2, 3, 16, 18).to(dtype), torch.randn(2, 3, 8, 9, dtype=dtype)
    assert degrade(hr, mix, 2, rounded=torch.tensor([True, False]), noise=noise).dtype == dtype
    assert degrade(hr, uniform_degradation(mix.kernels[:, 0]), 2, noise=noise).dtype == dtype


def test_lr_in_float32_differs_from_float64_by_less_than_1e_6():
    hr, kernels = random_picture(2, 3, 48, 48), asymmetric_kernels(2)
    assert_close(
        degrade(hr.float(), uniform_degradation(kernels.float()), 2), degrade(hr, uniform_degradation(kernels), 2), 1e-6
    )


@pytest.mark.parametrize(("scale", "size"), [(2, 120), (3, 153), (4, 170)])  # HR crops of training
def test_lr_by_fft_equals_lr_tap_by_tap_at_sizes_of_training_crops(scale, size):
    hr, kernels = random_picture(2, 3, size // scale * scale, 10 * scale), asymmetric_kernels(2)
    plain = degrade(hr, uniform_degradation(kernels), scale)  # float64: tap by tap
    assert_close(degrade(hr.float(), uniform_degradation(kernels.float()), scale), plain, 1e-6)


@pytest.mark.parametrize("view", range(VIEWS))
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_turned_picture_with_the_turned_degradation_gives_the_turned_lr(scale, view):
    height, width = 12, 10
    kernels = torch.from_numpy(np.stack([asymmetric(), gaussian(2.0, 0.7, 20)]))[None]
    noise_levels = 50 * random_picture(1, 2, height, width, seed=0)
    weight = random_picture(1, 1, height, width, seed=1)
    degradation = Degradation(kernels, noise_levels, torch.cat([weight, 1 - weight], 1))
    hr, noise = (random_picture(1, 3, s * height, s * width, seed=2) for s in (scale, 1))
    lr = degrade(hr, degradation, scale, noise=noise)
    turned_lr = degrade(turn(hr, view), degradation.turned(view), scale, noise=turn(noise, view))
    assert_close(turned_lr, turn(lr, view), 1e-9)


def test_kernels_are_padded_or_cropped_to_a_window():
    degradation = Degradation.uniform(torch.from_numpy(gaussian([3.6, 1.0], size=21)), torch.zeros(2))
    assert torch.equal(degradation.in_window(21).kernels, degradation.kernels)
    torch.testing.assert_close(degradation.in_window(15).kernels[:, 0], torch.from_numpy(gaussian([3.6, 1.0])))
    padded = degradation.in_window(31).kernels
    assert torch.equal(padded[..., 5:-5, 5:-5], degradation.kernels)
    assert padded.sum() == degradation.kernels.sum()
