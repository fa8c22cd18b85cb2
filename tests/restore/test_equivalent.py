"""Kernels for bicubic downsampling that are equivalent to kernels for direct downsampling."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from srmd.degradation import Degradation, degrade, imresize
from srmd.kernel.families import asymmetric, gaussian
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.equivalent import equivalent_kernel


def uniform(kernel):
    return Degradation.uniform(torch.from_numpy(kernel)[None], torch.zeros(1))


def with_bicubic(kernel, scale):
    """The kernel for direct downsampling that equals a blur and bicubic downsampling, measured pixel by pixel."""
    picture = torch.zeros(1, 1, 15 * scale, 15 * scale, dtype=torch.float64)
    taps = torch.zeros_like(picture)
    for row in range(15 * scale):
        for column in range(15 * scale):
            impulse = picture.clone()
            impulse[..., row, column] = 1
            taps[..., row, column] = imresize(impulse, 15, 15)[..., 7, 7]
    return scipy.ndimage.convolve(taps[0, 0].numpy(), kernel, mode="constant")


def test_a_kernel_that_contains_bicubic_downsampling_has_a_known_equivalent():
    blur = gaussian(2.4, 1.8, 30)
    equivalent = equivalent_kernel(with_bicubic(blur, 3), 3)
    assert np.linalg.norm(equivalent - blur) < 0.05 * np.linalg.norm(blur)


def test_without_downsampling_a_kernel_is_equivalent_to_itself():
    np.testing.assert_allclose(equivalent_kernel(asymmetric(), 1), asymmetric(), atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_equivalent_kernel_gives_nearly_the_same_lr_picture(scale):
    side = 32 * scale
    photo = builtin_test_pictures()["chelsea"][80 : 80 + side, 100 : 100 + side]
    hr = torch.from_numpy(photo / 255).permute(2, 0, 1)[None]
    direct = degrade(hr, uniform(gaussian(1.6, 1.2, 30)), scale, "direct")
    inner = (..., slice(4, -4), slice(4, -4))

    def error(kernel):
        return (degrade(hr, uniform(kernel), scale)[inner] - direct[inner]).square().mean().sqrt()

    equivalent = equivalent_kernel(gaussian(1.6, 1.2, 30), scale)
    assert equivalent.sum() == pytest.approx(1)
    assert error(equivalent) < 0.3 * error(gaussian(1.6, 1.2, 30))


@pytest.mark.parametrize("size", [15, 21])
def test_an_equivalent_kernel_has_the_requested_size(size):
    assert equivalent_kernel(gaussian(1.6, size=31), 3, size).shape == (size, size)
