"""The degradation map of uniform and of spatially variant degradations."""

import numpy as np
import pytest
import torch

from default_pca import default_pca
from example_degradations import (
    assert_close,
    asymmetric_kernels,
    random_mix,
    random_picture,
    uniform_degradation,
)
from srmd.degradation import Degradation, degradation_map, degrade
from srmd.kernel.families import gaussian
from srmd.kernel.pca import kernel_codes


@pytest.fixture(scope="module")
def pca():
    return default_pca()


def test_the_map_of_a_uniform_degradation_is_its_kernel_code_and_noise_level(pca):
    kernels, levels = torch.from_numpy(gaussian([1.3, 2.6], [1.3, 1.0], [0, 30])).float(), torch.tensor([0.0, 51.0])
    maps = degradation_map(Degradation.uniform(kernels, levels), pca, ("kernel", "noise"))
    assert maps.shape == (2, 16, 1, 1)
    assert maps.dtype == torch.float32
    for n in range(2):
        code = pca.double().numpy() @ kernels[n].double().numpy().flatten(order="F")
        assert_close(maps[n, :15, 0, 0], code, 1e-6)
    assert_close(maps[:, 15, 0, 0], [0, 0.2], 1e-7)


def test_the_map_of_a_noise_free_network_is_the_kernel_code_alone(pca):
    degradation = uniform_degradation(torch.from_numpy(gaussian([1.3, 2.6])).float(), 30.0)
    maps = degradation_map(degradation, pca, ("kernel",))
    assert maps.shape == (2, 15, 1, 1)
    assert_close(maps, degradation_map(degradation, pca, ("kernel", "noise"))[:, :15], 0)


def test_the_map_of_a_mix_is_the_code_of_the_mixed_kernel_and_the_mixed_noise_level_per_pixel(pca):
    mix = random_mix()
    maps = degradation_map(mix, pca, ("kernel", "noise"))
    assert maps.shape == (2, 16, 8, 9)
    assert maps.dtype == torch.float32
    for n, row, column in [(0, 0, 0), (1, 7, 8), (1, 2, 5)]:
        weights = mix.weights[n, :, row, column].numpy()
        kernel = np.einsum("m,mrc->rc", weights, mix.kernels[n].numpy())
        assert_close(maps[n, :15, row, column], kernel_codes(kernel, pca.double().numpy()), 1e-6)
        assert_close(maps[n, 15, row, column], weights @ mix.noise_levels[n].numpy() / 255, 1e-7)
    assert_close(degradation_map(mix, pca, ("kernel",)), maps[:, :15], 0)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_map_of_varying_noise_levels_holds_the_level_of_each_pixel(pca, parts: int):
    mix, levels = random_mix(parts=parts), 50 * random_picture(2, 1, 8, 9, seed=5)
    mapped = Degradation(mix.kernels, levels.expand(-1, parts, -1, -1), mix.weights if parts > 1 else None)
    maps = degradation_map(mapped, pca, ("kernel", "noise"))
    assert maps.shape == (2, 16, 8, 9)
    assert_close(maps[:, 15:], levels / 255, 1e-6)
    alone = degradation_map(mix, pca, ("kernel",))
    assert_close(maps[:, :15], alone.expand(-1, -1, 8, 9), 1e-6)


def test_a_mix_of_equal_parts_has_the_map_and_the_lr_of_one_part(pca):
    k = asymmetric_kernels(1)
    weights = random_picture(1, 2, 8, 9)
    mix = Degradation(k[:, None].repeat(1, 2, 1, 1), torch.full((1, 2), 20.0), weights / weights.sum(1, keepdim=True))
    maps, alone = (
        degradation_map(mix, pca, ("kernel", "noise")),
        degradation_map(uniform_degradation(k, 20.0), pca, ("kernel", "noise")),
    )
    assert_close(maps, alone.expand(-1, -1, 8, 9), 1e-7)
    hr = random_picture(1, 3, 16, 18)
    assert_close(degrade(hr, mix, 2), degrade(hr, uniform_degradation(k), 2), 1e-13)
