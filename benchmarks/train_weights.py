"""Trains the networks that `weights/` ships, in turn, the most valuable first.

    make weights                                # the whole schedules: 50,000 steps each
    make weights BUDGET=140 DATA=pictures       # schedules that fit into 140 minutes together, pictures of your own
    python -m benchmarks.train_weights --minutes=140 --train_data=pictures --test_data=Set5

It can be stopped at any moment and run again: it goes on where it stopped, by the schedule that it began with, and
skips what is done. Each network starts from the one that is shipped, where there is one, else from one that is near
it; when it is trained, it takes the shipped one's place if it is better on the held-out pictures. Without a budget the
steps are the paper's order of magnitude; with one they are as many as this machine takes in that time, for a cosine
that is cut short costs tenths of a dB.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ship import ROOT, ship
from srmd.backends.device import choose_device
from srmd.base.errors import InputError, Stopped
from srmd.cli import main
from srmd.cli.console import one_line
from srmd.cli.values import existing
from srmd.config import TrainConfig
from srmd.data_loader import open_training_data
from srmd.solver import Solver
from srmd.train.soap import PRECONDITION_FREQUENCY

RUNS = Path("runs") / "weights"
STEPS = 50_000
PATCH_SIZE = 48
SPARE = 0.05  # of the time: validation, saving, scoring


@dataclass(frozen=True)
class Pace:
    """What is asked of a kind of device; benchmarks/recipe.md says what was compared."""

    batch_size: int
    lr: float  # for a network that is new
    lr_again: float  # for one that starts from its own weights
    save_every: int


PACES = {"cpu": Pace(4, 7e-4, 4e-4, 100), "cuda": Pace(64, 1e-3, 1e-3, 2000)}


@dataclass(frozen=True)
class Plan:
    """A network to train, those that it may start from, the best first, and its share of the time."""

    name: str
    scale: int
    noise_free: bool
    sources: tuple[str, ...]
    share: float


PLANS = (
    Plan("srmd_x2", 2, False, ("srmd_x2", "srmdnf_x2"), 4),
    Plan("srmd_x4", 4, False, ("srmd_x4", "srmd_x2"), 3),
    Plan("srmdnf_x2", 2, True, ("srmdnf_x2", "srmd_x2"), 2),
    Plan("srmdnf_x4", 4, True, ("srmdnf_x4", "srmd_x4"), 2),
    Plan("srmd_x3", 3, False, ("srmd_x3", "srmd_x2"), 2.5),
    Plan("srmdnf_x3", 3, True, ("srmdnf_x3", "srmd_x3"), 1.5),
    Plan("srmd_x1", 1, False, ("srmd_x1", "srmd_x2"), 1),
)


def shipped(name: str) -> Path:
    """Where a shipped network lies."""
    return ROOT / "weights" / f"{name}.safetensors"


def pace() -> Pace:
    """That of the device which trains here."""
    return PACES[choose_device("auto").type]


def flags(plan: Plan, steps: int, train_data: Path | None) -> list[str]:
    """What main.py is asked for a network that is not begun yet."""
    here = pace()
    source = next((name for name in plan.sources if shipped(name).exists()), None)
    lr = here.lr_again if source == plan.name else here.lr
    asked = ["--mode=train", f"--scale_factor={plan.scale}", f"--steps={steps}", f"--lr={lr}"]
    asked += [f"--save_every={here.save_every}", f"--batch_size={here.batch_size}", f"--patch_size={PATCH_SIZE}"]
    asked += ["--noise_free"] * plan.noise_free
    asked += [f"--weights={shipped(source).relative_to(ROOT)}"] * (source is not None)
    return asked + [f"--train_data={train_data}"] * (train_data is not None)


def seconds_per_step(plan: Plan, train_data: Path | None) -> float:
    """Measured on this machine."""
    size = {"batch_size": pace().batch_size, "patch_size": PATCH_SIZE}
    config = TrainConfig(scale_factor=plan.scale, noise_free=plan.noise_free, **size)
    solver = Solver(config, *open_training_data(train_data).split())
    tried = PRECONDITION_FREQUENCY[solver.device.type]  # one of them turns the optimizer's bases
    solver.training_step()  # which is slower
    start = time.perf_counter()
    for _ in range(tried):
        loss = solver.training_step()
    loss.item()  # on a GPU, waits for it
    return (time.perf_counter() - start) / tried


def is_done(plan: Plan) -> bool:
    """Whether a network was trained to its end and offered to `weights/`."""
    return (RUNS / plan.name / "shipped").exists()


def train(plan: Plan, steps: int, train_data: Path | None, test_data: list[Path]) -> int:
    """Trains a network, or goes on with it, and offers it to `weights/`; the exit code of the training."""
    run = RUNS / plan.name
    begun = (run / "config.json").exists()
    asked = ["--mode=train"] if begun else flags(plan, steps, train_data)
    code = main.main([*asked, f"--output={run}", "--resume", "--visdom=auto"])
    if code == 0:
        ship(run, test_data)
        (run / "shipped").touch()
    return code


def train_all(minutes: float | None, train_data: Path | None, test_data: list[Path]) -> int:
    """Trains what is not done; the exit code of the first training that did not end well, else 0."""
    end = time.monotonic() + 60 * minutes if minutes else None
    waiting = [plan for plan in PLANS if not is_done(plan)]
    while waiting:
        plan, steps = waiting[0], STEPS
        if end and not (RUNS / plan.name / "config.json").exists():
            share = plan.share / sum(other.share for other in waiting)
            seconds = max(end - time.monotonic(), 0) * share * (1 - SPARE)
            steps = max(int(seconds / seconds_per_step(plan, train_data)), 1)
        if code := train(plan, steps, train_data, test_data):
            return code
        waiting = waiting[1:]
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="for all networks together")
    parser.add_argument("--train_data", type=existing, help="folder of pictures or .h5 (default: the built-in set)")
    parser.add_argument("--test_data", type=existing, nargs="*", default=[], help="folders of HR pictures to score on")
    given = parser.parse_args()
    main.end_on_signals()
    try:
        raise SystemExit(train_all(given.minutes, given.train_data, given.test_data))
    except InputError as error:
        parser.error(one_line(error))
    except Stopped as stopped:
        raise SystemExit(128 + stopped.signal) from stopped
