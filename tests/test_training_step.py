"""What a training step does to the network, its moving average (EMA) and the optimizer, against a plain loop."""

import copy
import math
from pathlib import Path

import pytest
import torch

from small_solvers import photos, small_solver
from srmd.train.soap import Soap

STEPS = 50_000
DEVICES = [
    ("cpu", "fp32", "l1"),
    ("cpu", "fp32", "l2"),
    ("cpu", "bf16", "l1"),
    *(
        pytest.param(
            "cuda", precision, "l1", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
        )
        for precision in ("fp32", "bf16")
    ),
]


def learning_rate(step: int, peak: float) -> float:
    """A linear warm-up of 100 steps, then half a period of a cosine, down to 0."""
    if step <= 100:
        return peak * step / 100
    return peak * (1 + math.cos(math.pi * (step - 101) / (STEPS - 100))) / 2


@pytest.mark.parametrize("steps_done", [1, 20_001])
@pytest.mark.parametrize(("device", "precision", "loss"), DEVICES)
def test_training_steps_are_those_of_a_plain_loop(
    tmp_path: Path, device: str, precision: str, loss: str, steps_done: int
):
    solver = small_solver(photos(tmp_path), steps=STEPS, device=device, precision=precision, loss=loss, lr=1e-2)
    solver.training_step()  # resets dormant features first
    solver.load_state_dict(copy.deepcopy(solver.state_dict()) | {"step": steps_done})
    network, ema = copy.deepcopy(solver.network), copy.deepcopy(solver.ema)
    optimizer = Soap(network.parameters(), lr=1e-2)
    optimizer.load_state_dict(copy.deepcopy(solver.optimizer.state_dict()))
    tolerance = 1e-4 if precision == "fp32" else 3e-2
    for step in range(steps_done + 1, steps_done + 4):
        batch = solver.batches.draw(step)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            difference = network(batch.lr, batch.degradation_map) - batch.hr
        expected = difference.abs().mean() if loss == "l1" else (difference**2).mean()
        optimizer.zero_grad()
        expected.backward()
        optimizer.param_groups[0]["lr"] = learning_rate(step, 1e-2)
        optimizer.step()
        decay = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            for averaged, current in zip(ema.parameters(), network.parameters(), strict=True):
                averaged.copy_(decay * averaged + (1 - decay) * current)
        assert solver.training_step().item() == pytest.approx(expected.item(), rel=tolerance)
    assert solver.step == steps_done + 3
    for found, expected in ((solver.network, network), (solver.ema, ema)):
        for a, b in zip(found.parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=tolerance * 0.1, rtol=tolerance)


def test_a_gradient_that_overflows_float16_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.solver.choose_training_precision", lambda *_: "fp16")  # which is refused on a CPU
    solver = small_solver(photos(tmp_path), loss="l2")
    batch = solver.batches.draw(1)
    solver.check_loss(solver.forward_backward(batch))
    loss = solver.forward_backward(batch._replace(hr=torch.full_like(batch.hr, 1e7)))
    with pytest.raises(RuntimeError, match=r"its gradient overflows float16 at step 0: .* `lr`"):
        solver.check_loss(loss)
