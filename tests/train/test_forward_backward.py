"""The loss of a batch and its gradients in every precision, compared with those that PyTorch computes in float32."""

import copy

import pytest
import torch

from srmd.model import SRMD, NetworkConfig
from srmd.train.batches import Batch
from srmd.train.forward_backward import ForwardBackward

CPU = torch.device("cpu")
# Of the loss, relative to it; of the gradients, relative to their norm.
TOLERANCES = {"fp32": 1e-5, "bf16": 0.2, "fp16": 0.1}


def network(batch_norm: bool = False) -> SRMD:
    torch.manual_seed(0)
    return SRMD(NetworkConfig(features=8, layers=3, batch_norm=batch_norm))


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    sizes = (2, 3, 8, 8), (2, 16, 1, 1), (2, 3, 16, 16), (2, 15, 15)
    return Batch(*(torch.rand(size, generator=generator) for size in sizes))


def expected_loss(network: SRMD, batch: Batch, loss: str) -> torch.Tensor:
    difference = network(batch.lr, batch.degradation_map) - batch.hr
    return difference.abs().mean() if loss == "l1" else (difference**2).mean()


def gradients(network: SRMD) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def assert_gradients_close(network: SRMD, reference: SRMD, tolerance: float) -> None:
    expected = gradients(reference)
    assert (gradients(network) - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("loss", ["l1", "l2"])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_loss_and_gradients_are_those_of_the_network(precision: str, loss: str, batch_norm: bool):
    reference = network(batch_norm).train()
    expected = expected_loss(reference, batch(), loss)
    expected.backward()
    trained = network(batch_norm).eval()
    forward_backward = ForwardBackward(trained, loss, CPU, precision)
    for _ in range(2):  # twice, because gradients of two calls must not add up
        result = forward_backward(batch())
    assert result.item() == pytest.approx(expected.item(), rel=TOLERANCES[precision])
    assert not result.requires_grad
    assert_gradients_close(trained, reference, TOLERANCES[precision])


@pytest.mark.usefixtures("compiled_functions")
def test_winograds_algorithm_gives_the_same_gradients():
    direct, winograd = network(), network()
    ForwardBackward(direct, "l1", CPU, "fp32", winograd=False)(batch())
    ForwardBackward(winograd, "l1", CPU, "fp32", winograd=True)(batch())
    assert_gradients_close(winograd, direct, 1e-4)


def test_gradients_that_underflow_float16_are_kept():
    exact, rounded = network(), network()
    for trained, precision in ((exact, "fp32"), (rounded, "fp16")):
        forward_backward = ForwardBackward(trained, "l1", CPU, precision)
        # Divided by 1000, gradients are as small as those of a batch that is a thousand times as large.
        forward_backward.compute_loss = lambda *patches, loss=forward_backward.loss: loss(*patches) / 1000
        forward_backward(batch())
    assert_gradients_close(rounded, exact, TOLERANCES["fp16"])


def test_gradients_that_overflow_float16_become_zeros():
    trained = network()
    before = copy.deepcopy(trained.state_dict())
    bright = batch()._replace(hr=torch.full((2, 3, 16, 16), 1e7))
    loss = ForwardBackward(trained, "l2", CPU, "fp16")(bright)
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in trained.parameters())
    assert not trained.convs[0].weight.grad.any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())
