"""The comparison of kernel windows of 15×15 and 21×21."""

import numpy as np
import pytest
import torch

from benchmarks.window import converted, half, row
from default_pca import default_pca
from srmd.base.errors import InputError
from srmd.degradation import Degradation
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.restore.restorer import Restorer, open_restorer
from srmd.weights.files import Weights


def weights() -> Weights:
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(4, conditions=("kernel",), features=8, layers=3)).eval()
    torch.nn.init.normal_(network.convs[0].weight[:, 3:])  # of the kernel code
    return Weights(network, default_pca())


def opened(weights: Weights) -> Restorer:
    return open_restorer(weights, "cpu", "torch", "fp32")


def test_a_converted_network_has_the_window_and_the_p_for_wide_blur():
    wide = converted(weights())
    assert wide.network.config.kernel_size == 21
    assert torch.equal(wide.pca, default_pca(21))


def test_half_of_a_training_has_the_means_of_the_weights():
    first, second = converted(weights()), converted(weights())
    with torch.no_grad():
        second.network.head.bias += 0.5
    means = half(first, second).network.state_dict()
    assert torch.equal(means.pop("head.bias"), first.network.head.bias + 0.25)
    assert all(torch.equal(tensor, first.network.state_dict()[key]) for key, tensor in means.items())
    with pytest.raises(InputError, match="expected a network that was trained from the converted one"):
        half(first, weights())


@pytest.mark.parametrize(("size", "width"), [(15, 1.3), (21, 3.6)])
def test_a_row_compares_networks_that_are_told_the_same_kernel(size: int, width: float):
    first = weights()
    other = Weights(first.network, default_pca().flip(0))
    networks = [opened(each) for each in (first, converted(first), first, other)]
    hr = torch.from_numpy(np.random.default_rng(0).random((1, 3, 48, 48)))
    applied = Degradation.uniform(torch.from_numpy(gaussian(width, size=size))[None], torch.zeros(1))
    psnr, distances = (
        np.array(list(map(float, part))) for part in np.split(np.array(row(networks, [hr], applied)), [4])
    )
    assert psnr[0] == psnr[2]
    assert abs(psnr[0] - psnr[1]) < 0.1 < abs(psnr[0] - psnr[3])
    assert distances[1] == 0
    assert distances[0] < 0.1 * distances[2]
