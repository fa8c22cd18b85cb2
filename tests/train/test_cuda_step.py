"""A GPU's step: as far as it goes on a CPU, with the recording replaced by plain calls; and on a GPU where one is."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from packs import packed
from srmd.backends.device import exact_convolutions
from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures
from srmd.solver import Solver
from srmd.train import cuda_step, soap
from srmd.train.cuda_step import cuda_graph, fast_convolutions, torch_compiled

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    return packed(tmp_path, (90, 80), (70, 100), (64, 64))


def solver(pictures: PackedPictures, **given: object) -> Solver:
    """Ready for its first step."""
    defaults = {"batch_size": 2, "patch_size": 8, "device": "cpu", "precision": "fp32", "steps": 50, "visdom": "off"}
    asked = defaults | given
    made = Solver(TrainConfig(**asked | {"precision": "auto"}), pictures, pictures)
    made.precision = asked["precision"]  # float16 too, which on a CPU is slow and refused
    made.winograd = False
    return made


def losses(made: Solver, steps: int = 4) -> list[float]:
    """Copied at once: a recorded step gives the same tensor again and again."""
    return [made.training_step().item() for _ in range(steps)]


@pytest.fixture
def _plain_calls(monkeypatch: pytest.MonkeyPatch):
    """Traces what would be compiled, whole, and runs it as it is; plays back by calling again."""
    monkeypatch.setattr(cuda_step.torch, "compile", partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(cuda_step, "cuda_graph", lambda work: work)


@pytest.mark.usefixtures("_plain_calls")
@pytest.mark.parametrize(
    "given",
    [
        {},
        *(pytest.param({"precision": each}, marks=pytest.mark.slow) for each in ("bf16", "fp16")),
        {"batch_norm": True, "loss": "l2"},
        {"cache": "device"},
    ],
)
def test_a_recorded_step_learns_what_a_plain_one_does(pictures: PackedPictures, given: dict):
    plain, recorded = solver(pictures, **given), solver(pictures, **given)
    recorded._capture_cuda_graph()
    assert losses(recorded) == pytest.approx(losses(plain), rel=2e-3 if given.get("precision") else 1e-5)
    for a, b in zip(plain.ema.state_dict().values(), recorded.ema.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3 if given.get("precision") else 1e-5, rtol=0)


@pytest.mark.usefixtures("_plain_calls")
def test_recording_leaves_the_network_as_it_was(pictures: PackedPictures):
    made = solver(pictures, batch_norm=True)
    before = {name: tensor.clone() for name, tensor in made.network.state_dict().items()}
    made._capture_cuda_graph()
    for name, tensor in made.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_what_can_not_be_compiled_is_recorded_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def failing(function: Callable, **_: object) -> Callable:
        def call(*_: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("Failed to find C compiler.\nMore lines")

        return call

    monkeypatch.setattr(cuda_step.torch, "compile", failing)
    assert torch_compiled(torch.sum, torch.ones(2, requires_grad=True)) is torch.sum
    assert caplog.messages == ["the training step is not compiled (Failed to find C compiler.): it will be slower"]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_only_in_16_bits_may_the_outer_layers_lose_digits_and_only_while_recording(precision: str):
    flags, before = torch.backends.cudnn, torch.backends.cudnn.allow_tf32
    with fast_convolutions(precision):
        assert flags.benchmark
        assert flags.allow_tf32 == (precision != "fp32")
    assert not flags.benchmark
    assert flags.allow_tf32 == before
    with exact_convolutions(torch.device("cuda")), exact_convolutions(torch.device("cuda")):
        assert flags.enabled
        assert not flags.allow_tf32
    with exact_convolutions(torch.device("cpu")):
        assert flags.allow_tf32 == before
    assert flags.allow_tf32 == before


def test_work_is_warmed_up_recorded_once_and_played_back(monkeypatch: pytest.MonkeyPatch):
    said = []

    class Stream:
        def wait_stream(self, other: object) -> None:
            said.append("wait")

    class Graph:
        def replay(self) -> None:
            said.append("replay")

    for name, replacement in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": nullcontext,
        "CUDAGraph": Graph,
        "graph": lambda _: nullcontext(said.append("record")),
    }.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    result = torch.ones(())
    play = cuda_graph(lambda: said.append("work") or result)
    assert said == ["wait", "work", "work", "work", "wait", "record", "work"]
    assert play() is result
    assert said[-1] == "replay"


def test_float16_keeps_gradients_that_are_too_small_for_it(pictures: PackedPictures):
    exact, rounded = solver(pictures, batch_size=8), solver(pictures, batch_size=8, precision="fp16")
    for made in (exact, rounded):
        # As where batches are so much larger.
        made._compute_loss = lambda *batch, made=made: made._loss(*batch) / 1000
        made.forward_backward(made.batches.draw(1))
    for a, b in zip(exact.network.parameters(), rounded.network.parameters(), strict=True):
        assert (a.grad - b.grad).norm() < 0.05 * a.grad.norm()


def test_a_gradient_that_overflows_float16_spoils_nothing_and_is_told(
    pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("srmd.solver.FLOAT16_LOSS_SCALE", 1e12)
    made = solver(pictures, precision="fp16")
    loss = made.forward_backward(made.batches.draw(1))
    assert all(parameter.grad.isfinite().all() for parameter in made.network.parameters())
    with pytest.raises(RuntimeError, match=r"its gradient overflows float16 at step 0: .* `lr`"):
        made.check_loss(loss)


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu_steps_wait_for_nothing_and_learn_the_same_wherever_the_pictures_lie(
    pictures: PackedPictures, precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(soap.PRECONDITION_FREQUENCY, "cuda", 6)
    there = solver(pictures, device="cuda", precision=precision, cache="device", noise_free=False)
    found = [there.training_step().clone()]  # the optimizer finds its first bases, once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found += [there.training_step().clone() for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found += [there.training_step().clone() for _ in range(4)]  # one of them turns the optimizer's bases
    again = losses(solver(pictures, device="cuda", precision=precision, cache="off"), steps=8)
    assert np.allclose([loss.item() for loss in found], again, rtol=2e-2)
