"""A GPU's training step. On a CPU, functions of this file stand in for CUDA graphs; the whole step needs a GPU."""

import copy
import functools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from small_solvers import photos, small_solver
from srmd.backends.device import exact_convolutions
from srmd.model import SRMD, NetworkConfig
from srmd.train import cuda_step, soap
from srmd.train.batches import Batch
from srmd.train.cuda_step import capture_step, cuda_graph, fast_convolutions, torch_compiled
from srmd.train.forward_backward import ForwardBackward

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
CPU = torch.device("cpu")


def network(batch_norm: bool) -> SRMD:
    torch.manual_seed(0)
    return SRMD(NetworkConfig(features=8, layers=3, batch_norm=batch_norm))


def batch(seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    sizes = (2, 3, 8, 8), (2, 16, 1, 1), (2, 3, 16, 16), (2, 15, 15)
    return Batch(*(torch.rand(size, generator=generator) for size in sizes))


def not_compiled(function: Callable, *example: torch.Tensor) -> Callable:
    """Stands in for `torch_compiled`."""
    return function


def traced(function: Callable, *example: torch.Tensor) -> Callable:
    """Stands in for `torch_compiled`: `torch.compile` traces the function, and PyTorch runs it without a C compiler."""
    fast = torch.compile(function, fullgraph=True, dynamic=False, backend="aot_eager")
    fast(*example).backward()
    return fast


def replayed(work: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Stands in for `cuda_graph`: warms up, then writes each result to the same tensor."""
    for _ in range(3):
        work()
    result = work().clone()
    return lambda: result.copy_(work())


@pytest.mark.parametrize(
    ("precision", "batch_norm", "compiler"),
    [
        ("fp32", False, not_compiled),
        ("fp32", True, not_compiled),
        ("bf16", False, not_compiled),
        ("fp32", True, traced),
        *(pytest.param(each, False, traced, marks=pytest.mark.slow) for each in ("bf16", "fp16")),
    ],
)
def test_a_captured_step_computes_what_a_plain_one_does(precision: str, batch_norm: bool, compiler: Callable):
    plain_network, captured_network = network(batch_norm), network(batch_norm)
    plain = ForwardBackward(plain_network, "l1", CPU, precision)
    forward_backward, example = ForwardBackward(captured_network, "l1", CPU, precision), batch(0)
    step = capture_step(forward_backward, example, compiler, replayed)
    for name, tensor in plain_network.state_dict().items():  # including the statistics of batch norm
        assert torch.equal(captured_network.state_dict()[name], tensor), name
    for seed in (1, 2, 3):
        assert step(batch(seed)).item() == pytest.approx(plain(batch(seed)).item(), rel=1e-5)
        for a, b in zip(captured_network.parameters(), plain_network.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    for a, b in zip(captured_network.buffers(), plain_network.buffers(), strict=True):
        torch.testing.assert_close(a, b)
    for tensor, original in zip(example, batch(0), strict=True):
        assert torch.equal(tensor, original)  # later batches are not written into the example


def test_without_a_compiler_the_function_itself_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def failing(function: Callable, **_: object) -> Callable:
        def call(*_: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("Failed to find C compiler.\nMore lines")

        return call

    monkeypatch.setattr(cuda_step.torch, "compile", failing)
    assert torch_compiled(torch.sum, torch.ones(2, requires_grad=True)) is torch.sum
    assert caplog.messages == ["the training step is not compiled (Failed to find C compiler.): it will be slower"]


def test_a_compiler_that_fails_in_another_way_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch):
    def failing(function: Callable, **_: object) -> Callable:
        raise subprocess.CalledProcessError(1, "cc")

    monkeypatch.setattr(cuda_step.torch, "compile", lambda function, **_: functools.partial(failing, function))
    assert torch_compiled(torch.sum, torch.ones(2, requires_grad=True)) is torch.sum


@pytest.mark.slow
def test_the_steps_of_several_networks_are_compiled_in_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=1):  # torch's own limit is 8 networks
        for features in (4, 5):
            step = ForwardBackward(SRMD(NetworkConfig(features=features, layers=2)), "l1", CPU, "fp32")
            example = batch(0)
            compiled = torch_compiled(step.loss, example.lr, example.degradation_map, example.hr)
            assert compiled != step.loss


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_tf32_is_allowed_only_in_16_bit_precisions_and_only_while_capturing(precision: str):
    flags, before = torch.backends.cudnn, torch.backends.cudnn.allow_tf32
    with fast_convolutions(precision):
        assert flags.benchmark
        assert flags.allow_tf32 == (precision != "fp32")
    assert not flags.benchmark
    assert flags.allow_tf32 == before
    with exact_convolutions(torch.device("cuda")), exact_convolutions(torch.device("cuda")):
        assert flags.enabled
        assert not flags.allow_tf32
    with exact_convolutions(CPU):
        assert flags.allow_tf32 == before
    assert flags.allow_tf32 == before


@needs_cuda
def test_a_replayed_graph_reads_the_present_values_of_its_inputs():
    x = torch.zeros(4, device="cuda")
    replay = cuda_graph(lambda: (x + 1).sum())
    for value in (1, 5):
        x.fill_(value)
        assert replay().item() == 4 * (value + 1)


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_on_a_gpu_a_captured_step_computes_what_a_plain_one_does(precision: str, batch_norm: bool):
    device, tolerance = torch.device("cuda"), 1e-3 if precision == "fp32" else 3e-2
    plain_network = network(batch_norm).to(device, memory_format=torch.channels_last)
    captured_network = copy.deepcopy(plain_network)
    batches = [Batch(*(tensor.to(device) for tensor in batch(seed))) for seed in range(3)]
    plain = ForwardBackward(plain_network, "l1", device, precision)
    step = capture_step(ForwardBackward(captured_network, "l1", device, precision), batches[0])
    for each in batches:
        assert step(each).item() == pytest.approx(plain(each).item(), rel=tolerance)
        for a, b in zip(captured_network.parameters(), plain_network.parameters(), strict=True):
            assert (a.grad - b.grad).norm() <= tolerance * b.grad.norm() + 1e-6


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu_steps_do_not_wait_for_the_device_and_the_cache_does_not_change_losses(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(soap.PRECONDITION_FREQUENCY, "cuda", 6)
    pictures, options = photos(tmp_path), {"device": "cuda", "precision": precision, "steps": 50}
    solver = small_solver(pictures, cache="device", **options)
    losses = [solver.training_step().clone()]  # the first step waits: the optimizer computes its first eigenbases
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses += [solver.training_step().clone() for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    losses += [solver.training_step().clone() for _ in range(4)]  # one of them updates the eigenbases, and may wait
    other = small_solver(pictures, cache="off", **options)
    expected = [other.training_step().item() for _ in range(8)]
    assert [loss.item() for loss in losses] == pytest.approx(expected, rel=2e-2)
