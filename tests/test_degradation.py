"""degradation.py: its laws, and every step against an independent float64 reference written here."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from srmd.degradation import (
    Degradation,
    _correlate_by_fft,
    blur,
    border,
    degradation_map,
    degrade,
    downsample,
    imresize,
    modcrop,
    upsample,
)
from srmd.kernel.families import delta, gaussian, random_kernels
from srmd.kernel.pca import kernel_codes, pca_matrix
from srmd.train.batches import random_degradation

SCALES = [1, 2, 3, 4, 8]


def cubic(x):
    """Keys' kernel with a = -1/2."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def resize_line(line, size):
    """MATLAB's imresize of one line, straight from its definition: antialiased, borders mirrored with the edge."""
    scale = size / len(line)
    shrink = min(scale, 1)
    out = []
    for i in range(size):
        centre = (i + 0.5) / scale - 0.5
        reach = range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1)
        weights = [cubic((centre - j) * shrink) for j in reach]
        values = [line[min(j % (2 * len(line)), (-j - 1) % (2 * len(line)))] for j in reach]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


def resize_by_loops(picture, height, width):
    rows = np.array([resize_line(row, width) for row in picture])
    return np.array([resize_line(column, height) for column in rows.T]).T


def random_picture(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def skewed(count, size=15, seed=3):
    """Random kernels (count, size, size) that no turn or flip maps onto themselves."""
    k = np.random.default_rng(seed).random((count, size, size))
    return torch.from_numpy(k / k.sum((1, 2), keepdims=True))


def uniform(kernels, levels=0.0):
    kernels = torch.as_tensor(kernels)
    return Degradation.uniform(kernels, torch.full((len(kernels),), levels, dtype=kernels.dtype))


def random_mix(n=2, parts=3, height=8, width=9):
    """A mix with other weights at every LR pixel."""
    weights = random_picture(n, parts, height, width, seed=7) + 0.1
    levels = torch.linspace(0, 50, n * parts, dtype=torch.float64).view(n, parts)
    return Degradation(skewed(n * parts).view(n, parts, 15, 15), levels, weights / weights.sum(1, keepdim=True))


def slopes(scale):
    """A slope on the HR grid and the same one seen at the middles of 20×20 LR pixels."""
    fine = torch.arange(20.0 * scale, dtype=torch.float64)
    coarse = scale * torch.arange(20, dtype=torch.float64) + (scale - 1) / 2
    return ((3 * line[:, None] + line)[None, None] for line in (fine, coarse))


def inner(pictures, margin):
    return pictures[..., margin:-margin, margin:-margin]


def assert_close(a, b, atol):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=atol)


# --- blur


def test_blur_is_scipys_correlation_with_replicated_borders():
    pictures, kernels = random_picture(2, 3, 20, 17), skewed(2)
    blurred = blur(pictures, kernels)
    for n in range(2):
        for c in range(3):
            expected = scipy.ndimage.correlate(pictures[n, c].numpy(), kernels[n].numpy(), mode="nearest")
            assert_close(blurred[n, c], expected, 1e-12)


@pytest.mark.parametrize("size", [1, 3, 9, 21])
def test_blur_takes_kernels_of_any_odd_size_even_larger_than_the_picture(size):
    picture, k = random_picture(1, 1, 6, 5), skewed(1, size)
    expected = scipy.ndimage.correlate(picture[0, 0].numpy(), k[0].numpy(), mode="nearest")
    assert_close(blur(picture, k)[0, 0], expected, 1e-12)


def test_a_tap_to_the_right_of_the_middle_brings_what_lies_to_the_right():
    k = torch.zeros(1, 15, 15, dtype=torch.float64)
    k[0, 7, 8] = 1
    picture = random_picture(1, 3, 9, 9)
    assert_close(blur(picture, k)[..., :-1], picture[..., 1:], 0)


# --- bicubic


@pytest.mark.parametrize("scale", SCALES)
def test_downsampling_is_matlabs_bicubic_up_to_the_borders(scale):
    picture = random_picture(1, 2, 7 * scale, 5 * scale)
    small = downsample(picture, scale)
    for c in range(2):
        assert_close(small[0, c], resize_by_loops(picture[0, c].numpy(), 7, 5), 1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_upsampling_is_matlabs_bicubic_up_to_the_borders(scale):
    picture = random_picture(1, 2, 7, 5)
    large = upsample(picture, scale)
    for c in range(2):
        assert_close(large[0, c], resize_by_loops(picture[0, c].numpy(), 7 * scale, 5 * scale), 1e-12)


@pytest.mark.parametrize(
    ("old", "new"), [((17, 23), (8, 9)), ((9, 7), (20, 15)), ((15, 11), (7, 26)), ((3, 2), (1, 5))]
)
def test_imresize_is_matlabs_for_odd_sizes_and_other_scales_on_each_axis(old, new):
    picture = random_picture(1, 1, *old)
    assert_close(imresize(picture, *new)[0, 0], resize_by_loops(picture[0, 0].numpy(), *new), 1e-12)


@pytest.mark.parametrize(("old", "new"), [((48, 36), (24, 18)), ((48, 36), (12, 9)), ((16, 12), (48, 36))])
def test_imresize_agrees_with_pillow_on_a_mirrored_picture(old, new):
    """Another's code as a second witness: Pillow's bicubic is MATLAB's away from the border."""
    picture = random_picture(1, 1, *old)
    mirrored = np.pad(picture[0, 0].numpy(), [(n, n) for n in old], mode="symmetric").astype(np.float32)
    by_pillow = Image.fromarray(mirrored).resize((3 * new[1], 3 * new[0]), Image.Resampling.BICUBIC)
    assert_close(imresize(picture, *new)[0, 0], np.asarray(by_pillow)[new[0] : -new[0], new[1] : -new[1]], 2e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_an_lr_pixel_lies_in_the_middle_of_its_hr_pixels(scale):
    """LR pixel i covers s·i … s·i + s - 1: a slope keeps its values at those middles, down and up again."""
    hr, lr = slopes(scale)
    assert_close(inner(downsample(hr, scale), 4), inner(lr, 4), 1e-9)
    assert_close(inner(upsample(lr, scale), 4 * scale), inner(hr, 4 * scale), 1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_the_direct_downsampler_takes_one_pixel_of_each_block_the_middle_one_where_there_is_one(scale):
    picture = random_picture(1, 3, 4 * scale, 5 * scale)
    expected = [[picture[0, :, r * scale + scale // 2, c * scale + scale // 2] for c in range(5)] for r in range(4)]
    small = downsample(picture, scale, "direct")
    assert small.shape == (1, 3, 4, 5)
    for r in range(4):
        for c in range(5):
            assert_close(small[0, :, r, c], expected[r][c], 0)


def test_modcrop_cuts_at_the_end_what_fills_no_lr_pixel():
    picture = random_picture(1, 3, 11, 9)
    assert_close(modcrop(picture, 4), picture[..., :8, :8], 0)
    assert_close(modcrop(picture, 3), picture[..., :9, :], 0)
    assert_close(modcrop(picture, 1), picture, 0)


# --- laws of the degradation


def test_a_delta_and_scale_one_change_nothing():
    hr = random_picture(2, 3, 20, 17)
    for downsampler in ("bicubic", "direct"):
        assert_close(degrade(hr, uniform(np.stack([delta()] * 2)), 1, downsampler), hr, 1e-14)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_a_constant_picture_stays_constant(scale, downsampler):
    hr = torch.full((2, 3, 6 * scale, 5 * scale), 0.37, dtype=torch.float64)
    assert_close(degrade(hr, uniform(skewed(2)), scale, downsampler), np.full((2, 3, 6, 5), 0.37), 1e-12)


@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_a_degradation_is_blur_then_downsampling_then_noise(downsampler):
    hr, k, noise = random_picture(1, 3, 18, 12), skewed(1), torch.randn(1, 3, 9, 6, dtype=torch.float64)
    lr = degrade(hr, uniform(k, 25.0), 2, downsampler, noise=noise)
    for c in range(3):
        blurred = scipy.ndimage.correlate(hr[0, c].numpy(), k[0].numpy(), mode="nearest")
        small = blurred[1::2, 1::2] if downsampler == "direct" else resize_by_loops(blurred, 9, 6)
        assert_close(lr[0, c], small + 25 / 255 * noise[0, c].numpy(), 1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_symmetric_kernels_shift_nothing(scale):
    """A slope, blurred by an even kernel and downsampled, still tells each LR pixel's place."""
    kernels = torch.from_numpy(random_kernels(np.random.default_rng(0), 6, scale))
    hr, lr = (slope.expand(6, 3, -1, -1) for slope in slopes(scale))
    assert_close(inner(degrade(hr, uniform(kernels), scale), 9), inner(lr, 9), 1e-9)


def test_a_batch_equals_its_samples_one_by_one():
    hr, noise = random_picture(4, 3, 24, 20), torch.randn(4, 3, 12, 10, dtype=torch.float64)
    rounded = torch.tensor([True, False, True, False])
    levels = torch.tensor([0.0, 15, 50, 75], dtype=torch.float64)
    together = degrade(hr, Degradation.uniform(skewed(4), levels), 2, rounded=rounded, noise=noise)
    for i in range(4):
        one = slice(i, i + 1)
        alone = Degradation.uniform(skewed(4)[one], levels[one])
        assert_close(together[one], degrade(hr[one], alone, 2, rounded=rounded[one], noise=noise[one]), 1e-13)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
def test_the_degradation_of_a_crop_is_the_crop_of_the_degradation_inside_the_margin(scale, downsampler):
    hr = random_picture(1, 3, 40 * scale, 40 * scale)
    whole = degrade(hr, uniform(skewed(1)), scale, downsampler)
    part = degrade(hr[..., 6 * scale : 32 * scale, 4 * scale : 30 * scale], uniform(skewed(1)), scale, downsampler)
    assert border(scale) == math.ceil((7 + 2 * scale) / scale)  # half the kernel's window and bicubic's reach
    assert_close(inner(part, border(scale)), inner(whole[..., 6:32, 4:30], border(scale)), 1e-13)


def test_every_pixel_of_a_mix_equals_the_uniform_degradation_by_its_mixed_kernel():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    lr = degrade(hr, mix, 2)
    for n, row, column in [(0, 0, 0), (0, 3, 8), (1, 7, 4), (1, 5, 0), (0, 4, 4)]:
        weights = mix.weights[n, :, row, column]
        kernel = sum(w * k for w, k in zip(weights, mix.kernels[n], strict=True))
        alone = degrade(hr[n : n + 1], uniform(kernel[None]), 2)
        assert_close(lr[n, :, row, column], alone[0, :, row, column], 1e-12)


def test_a_mix_in_float32_keeps_to_a_millionth():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    single = Degradation(mix.kernels.float(), mix.noise_levels.float(), mix.weights.float())
    assert_close(degrade(hr.float(), single, 2), degrade(hr, mix, 2), 1e-6)


def test_a_mix_has_one_noise_draw_of_the_mixed_level():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    noise = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    added = degrade(hr, mix, 2, noise=noise) - degrade(hr, mix, 2)
    for n, row, column in [(0, 0, 0), (1, 7, 8), (1, 2, 5)]:
        level = sum(
            float(w) * float(s) for w, s in zip(mix.weights[n, :, row, column], mix.noise_levels[n], strict=True)
        )
        assert_close(added[n, :, row, column], level / 255 * noise[n, :, row, column], 1e-13)


@pytest.mark.parametrize("parts", [1, 3])
def test_noise_levels_may_vary_from_pixel_to_pixel_with_the_kernels_or_alone(parts: int):
    mix, hr, noise = random_mix(parts=parts), random_picture(2, 3, 16, 18), torch.randn(2, 3, 8, 9).double()
    levels = 50 * random_picture(2, 1, 8, 9, seed=5)
    mapped = Degradation(mix.kernels, levels.expand(-1, parts, -1, -1), mix.weights if parts > 1 else None)
    assert_close(degrade(hr, mapped, 2, noise=noise), degrade(hr, mix, 2) + levels / 255 * noise, 1e-12)


def test_a_mix_is_mixed_before_it_is_rounded():
    mix, hr = random_mix(), random_picture(2, 3, 16, 18)
    lr = degrade(hr, mix, 2, rounded=torch.tensor([True, True]))
    assert_close(lr, (degrade(hr, mix, 2).clamp(0, 1) * 255).round() / 255, 1e-13)


# --- rounding, noise, types


def test_only_the_samples_asked_for_are_rounded_to_8_bits():
    hr, degradation = random_picture(2, 3, 16, 16), uniform(np.stack([delta()] * 2))  # of full contrast: overshoots
    plain = degrade(hr, degradation, 2)
    lr = degrade(hr, degradation, 2, rounded=torch.tensor([True, False]))
    assert_close(lr[1], plain[1], 0)
    assert_close(lr[0], (plain[0].clamp(0, 1) * 255).round() / 255, 1e-13)


def test_without_rounding_what_overshoots_is_kept():
    hr = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    hr[..., 7:] = 1
    lr = degrade(hr, uniform(delta()[None]), 2)
    assert lr.min() < -0.01
    assert lr.max() > 1.01


def test_rounding_comes_before_the_noise_and_noise_is_not_clipped():
    hr, noise = random_picture(1, 3, 16, 16), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    lr = degrade(hr, uniform(skewed(1), 75.0), 2, rounded=torch.tensor([True]), noise=noise)
    levels = (lr - 75 / 255 * noise) * 255
    assert_close(levels, levels.round(), 1e-10)
    white = degrade(torch.ones_like(hr), uniform(skewed(1), 75.0), 2, noise=noise)
    assert_close(white, 1 + 75 / 255 * noise, 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.float32, torch.float64])
def test_lr_has_the_type_of_hr_whatever_the_degradations_is(dtype, other):
    mix = random_mix()
    mix = Degradation(mix.kernels.to(other), mix.noise_levels.to(other), mix.weights.to(other))
    hr, noise = random_picture(2, 3, 16, 18).to(dtype), torch.randn(2, 3, 8, 9, dtype=dtype)
    assert degrade(hr, mix, 2, rounded=torch.tensor([True, False]), noise=noise).dtype == dtype
    assert degrade(hr, uniform(mix.kernels[:, 0]), 2, noise=noise).dtype == dtype


def test_float32_keeps_to_a_millionth_of_float64():
    hr, kernels = random_picture(2, 3, 48, 48), skewed(2)
    assert_close(degrade(hr.float(), uniform(kernels.float()), 2), degrade(hr, uniform(kernels), 2), 1e-6)


@pytest.mark.parametrize(("scale", "size"), [(2, 120), (3, 153), (4, 170)])  # of crops for patches of 48, and others
def test_trainings_blur_by_spectra_degrades_as_the_plain_one(scale, size):
    hr, kernels = random_picture(2, 3, size // scale * scale, 10 * scale), skewed(2)
    plain = degrade(hr, uniform(kernels), scale)  # in float64 a tap at a time
    assert_close(degrade(hr.float(), uniform(kernels.float()), scale), plain, 1e-6)


@pytest.mark.parametrize("size", [17, 101])
def test_large_kernels_blur_as_an_independent_correlation_does(size):
    pictures, kernels = random_picture(2, 3, 33, 20), skewed(2, size)
    expected = [scipy.ndimage.correlate(p, k[None], mode="nearest") for p, k in zip(pictures, kernels, strict=True)]
    assert_close(blur(pictures, kernels), torch.from_numpy(np.stack(expected)), 1e-12)


@pytest.mark.parametrize("size", [1, 9, 15])
def test_blur_by_spectra_is_the_correlation_to_the_last_digits(size):
    pictures, kernels = random_picture(2, 3, 33, 20), skewed(2, size)
    padded = torch.nn.functional.pad(pictures, [size // 2] * 4, mode="replicate")
    assert_close(_correlate_by_fft(padded, kernels), blur(pictures, kernels), 1e-12)


# --- what the network is told


@pytest.fixture(scope="module")
def pca():
    return torch.from_numpy(pca_matrix())


def test_the_map_of_a_uniform_degradation_is_its_code_and_its_level(pca):
    kernels, levels = torch.from_numpy(gaussian([1.3, 2.6], [1.3, 1.0], [0, 30])).float(), torch.tensor([0.0, 51.0])
    told = degradation_map(Degradation.uniform(kernels, levels), pca, ("kernel", "noise"))
    assert told.shape == (2, 16, 1, 1)
    assert told.dtype == torch.float32
    for n in range(2):
        code = pca.double().numpy() @ kernels[n].double().numpy().flatten(order="F")
        assert_close(told[n, :15, 0, 0], code, 1e-6)
    assert_close(told[:, 15, 0, 0], [0, 0.2], 1e-7)


def test_a_noise_free_network_is_told_the_code_alone(pca):
    degradation = uniform(torch.from_numpy(gaussian([1.3, 2.6])).float(), 30.0)
    told = degradation_map(degradation, pca, ("kernel",))
    assert told.shape == (2, 15, 1, 1)
    assert_close(told, degradation_map(degradation, pca, ("kernel", "noise"))[:, :15], 0)


def test_the_map_of_a_mix_is_the_code_of_each_pixels_mixed_kernel_and_its_mixed_level(pca):
    mix = random_mix()
    told = degradation_map(mix, pca, ("kernel", "noise"))
    assert told.shape == (2, 16, 8, 9)
    assert told.dtype == torch.float32
    for n, row, column in [(0, 0, 0), (1, 7, 8), (1, 2, 5)]:
        weights = mix.weights[n, :, row, column].numpy()
        kernel = np.einsum("m,mrc->rc", weights, mix.kernels[n].numpy())
        assert_close(told[n, :15, row, column], kernel_codes(kernel, pca.double().numpy()), 1e-6)
        assert_close(told[n, 15, row, column], weights @ mix.noise_levels[n].numpy() / 255, 1e-7)
    assert_close(degradation_map(mix, pca, ("kernel",)), told[:, :15], 0)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_map_of_noise_levels_that_vary_holds_each_pixels_level(pca, parts: int):
    mix, levels = random_mix(parts=parts), 50 * random_picture(2, 1, 8, 9, seed=5)
    mapped = Degradation(mix.kernels, levels.expand(-1, parts, -1, -1), mix.weights if parts > 1 else None)
    told = degradation_map(mapped, pca, ("kernel", "noise"))
    assert told.shape == (2, 16, 8, 9)
    assert_close(told[:, 15:], levels / 255, 1e-6)
    alone = degradation_map(mix, pca, ("kernel",))
    assert_close(told[:, :15], alone.expand(-1, -1, 8, 9), 1e-6)


def test_a_mix_of_equal_parts_is_told_and_degrades_as_the_part_alone(pca):
    k = skewed(1)
    weights = random_picture(1, 2, 8, 9)
    mix = Degradation(k[:, None].repeat(1, 2, 1, 1), torch.full((1, 2), 20.0), weights / weights.sum(1, keepdim=True))
    told, alone = (
        degradation_map(mix, pca, ("kernel", "noise")),
        degradation_map(uniform(k, 20.0), pca, ("kernel", "noise")),
    )
    assert_close(told, alone.expand(-1, -1, 8, 9), 1e-7)
    hr = random_picture(1, 3, 16, 18)
    assert_close(degrade(hr, mix, 2), degrade(hr, uniform(k), 2), 1e-13)


# --- training's degradations


def test_training_noise_levels_lie_in_0_to_75_and_one_in_three_is_0():
    levels = random_degradation(np.random.default_rng(0), 3000, 2, ("kernel", "noise")).noise_levels
    assert levels.shape == (3000, 1)
    assert 0.3 < (levels == 0).double().mean() < 0.37
    assert 74 < levels.max() <= 75
    assert abs(levels[levels > 0].mean() - 37.5) < 1.5
    assert levels[levels > 0].min() < 1


def test_training_degradations_of_a_noise_free_network_have_no_noise():
    assert not random_degradation(np.random.default_rng(0), 100, 2, ("kernel",)).noise_levels.any()


@pytest.mark.parametrize("scale", SCALES)
def test_training_kernels_arrive_as_drawn_and_the_same_seed_draws_the_same(scale):
    first, again, other = (
        random_degradation(np.random.default_rng(s), 16, scale, ("kernel", "noise")) for s in (3, 3, 4)
    )
    assert first.kernels.shape == (16, 1, 15, 15)
    assert first.kernels.dtype == first.noise_levels.dtype == torch.float32
    assert torch.equal(first.kernels, again.kernels)
    assert torch.equal(first.noise_levels, again.noise_levels)
    assert not torch.equal(first.kernels, other.kernels)
    assert_close(first.kernels[:, 0], random_kernels(np.random.default_rng(3), 16, scale), 1e-7)
