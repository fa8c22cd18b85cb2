"""Turning a picture and its degradation turns the LR picture."""

import numpy as np
import pytest
import torch

from srmd.degradation import Degradation, degrade, turn
from srmd.kernel.families import asymmetric, gaussian


def mix(height: int, width: int) -> Degradation:
    """Two kernels that no turn keeps, with weights and noise levels that differ from pixel to pixel."""
    rng = np.random.default_rng(0)
    share = torch.from_numpy(rng.random((1, 1, height, width)))
    kernels = torch.from_numpy(np.stack([asymmetric(), gaussian(2.0, 0.7, 20)]))[None]
    levels = torch.from_numpy(50 * rng.random((1, 2, height, width)))
    return Degradation(kernels, levels, torch.cat([share, 1 - share], 1))


@pytest.mark.parametrize("view", range(8))
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_turned_degradation_of_a_turned_picture_gives_the_turned_lr_picture(scale: int, view: int):
    rng = np.random.default_rng(1)
    hr = torch.from_numpy(rng.random((1, 3, 12 * scale, 10 * scale)))
    noise = torch.from_numpy(rng.standard_normal((1, 3, 12, 10)))
    degradation = mix(12, 10)
    lr = degrade(hr, degradation, scale, noise=noise)
    turned_lr = degrade(turn(hr, view), degradation.turned(view), scale, noise=turn(noise, view))
    torch.testing.assert_close(turned_lr, turn(lr, view), atol=1e-9, rtol=0)
