"""Trains the networks in weights/ one after the other, the most important ones first.

    make weights                                # 50,000 steps for each network
    make weights BUDGET=140 DATA=pictures       # all networks within 140 minutes, with pictures of your own
    python -m benchmarks.train_weights --minutes=140 --train_data=pictures --test_data=Set5

It can be stopped at any time and started again: it then resumes the interrupted run and skips finished ones. Each
network starts from the shipped one or, if there is none, from a similar one. After its training, it replaces the
shipped one if it is better on the held-out pictures. With a time budget, the number of steps is chosen so that the
cosine schedule ends within it, because a schedule that is cut short costs tenths of a dB.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.commands import add_test_data, add_train_data, command_parser, one_line_errors, positive
from benchmarks.plans import PATCH_SIZE, PLANS, ROOT, Plan, shipped
from benchmarks.ship import ship
from srmd.backends.device import choose_device
from srmd.base.errors import Stopped
from srmd.base.signals import stop_requests
from srmd.cli import main
from srmd.config import TrainConfig
from srmd.packs.training_data import open_training_data
from srmd.solver import Solver
from srmd.train.soap import PRECONDITION_FREQUENCY

RUNS = Path("runs") / "weights"
STEPS = 50_000
SPARE = 0.05  # share of the time for validation, saving and scoring


@dataclass(frozen=True)
class Recipe:
    """Training settings for a kind of device; benchmarks/recipe.md has the comparisons behind them."""

    batch_size: int
    lr: float  # for a network that starts from another one, or from scratch
    lr_continued: float  # for a network that starts from its own shipped weights
    save_every: int


RECIPES = {"cpu": Recipe(4, 7e-4, 4e-4, 100), "cuda": Recipe(64, 1e-3, 1e-3, 2000)}


def recipe() -> Recipe:
    """The recipe for the device of this machine."""
    return RECIPES[choose_device("auto").type]


def flags(plan: Plan, steps: int, train_data: Path | None) -> list[str]:
    """The flags of main.py that start the training of a network."""
    settings = recipe()
    source = plan.source()
    lr = settings.lr_continued if source == plan.name else settings.lr
    arguments = ["--mode=train", f"--scale_factor={plan.scale}", f"--steps={steps}", f"--lr={lr}"]
    arguments += [f"--save_every={settings.save_every}", f"--batch_size={processes() * settings.batch_size}"]
    arguments += [f"--patch_size={PATCH_SIZE}", f"--conditions={','.join(plan.conditions)}"]
    arguments.append(f"--kernel_size={plan.kernel_size}")
    if source is not None:
        arguments.append(f"--weights={shipped(source).relative_to(ROOT)}")
    if train_data is not None:
        arguments.append(f"--train_data={train_data}")
    return arguments


def seconds_per_step(plan: Plan, train_data: Path | None) -> float:
    """Mean seconds of a training step, measured on this machine."""
    config = TrainConfig(
        scale_factor=plan.scale,
        conditions=plan.conditions,
        kernel_size=plan.kernel_size,
        batch_size=recipe().batch_size,
        patch_size=PATCH_SIZE,
    )
    solver = Solver(config, *open_training_data(train_data).split())
    steps = PRECONDITION_FREQUENCY[solver.device.type]  # contain one step that updates SOAP's bases, which is slower
    solver.training_step()
    start = time.perf_counter()
    for _ in range(steps):
        loss = solver.training_step()
    loss.item()  # waits until a GPU has finished
    return (time.perf_counter() - start) / steps


def is_done(plan: Plan) -> bool:
    """Whether the training of a network is finished, and the network was compared with the shipped one."""
    return (RUNS / plan.name / "shipped").exists()


def train(plan: Plan, steps: int, train_data: Path | None, test_data: list[Path]) -> int:
    """Trains a network or resumes its training, and ships it if it is better; returns the training's exit code."""
    run = RUNS / plan.name
    arguments = ["--mode=train"] if is_started(plan) else flags(plan, steps, train_data)
    code = run_main([*arguments, f"--output={run}", "--resume", "--visdom=auto"])
    if code == 0:
        ship(run, test_data)
        (run / "shipped").touch()
    return code


def processes() -> int:
    """The number of processes that train a network: one for each GPU of this machine, and one if there is none."""
    return max(torch.cuda.device_count(), 1)


def run_main(arguments: list[str]) -> int:
    """Runs main.py in this process, or in one for each GPU, and returns the exit code; raises Stopped on a signal."""
    if processes() == 1:
        return main.main(arguments)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes()}"]
    # In a session of its own it gets no signal from the terminal, so that it gets each signal once, from here.
    command = [*launcher, "--shutdown_timeout=120", str(ROOT / "main.py"), *arguments]
    with stop_requests() as stop, subprocess.Popen(command, start_new_session=True) as launched:
        while launched.poll() is None and not stop:
            time.sleep(1)
        if stop:
            launched.send_signal(stop[0])
            launched.wait()
            raise Stopped(stop[0])
        return launched.returncode


def is_started(plan: Plan) -> bool:
    """Whether the run of a network exists."""
    return (RUNS / plan.name / "config.json").exists()


def train_all(minutes: float | None, train_data: Path | None, test_data: list[Path]) -> int:
    """Trains the unfinished networks; stops at the first training that fails, and returns its exit code, or 0."""
    end = time.monotonic() + 60 * minutes if minutes else None
    plans = [plan for plan in PLANS if not is_done(plan)]
    for number, plan in enumerate(plans):
        steps = STEPS
        if end and not is_started(plan):
            share = plan.time_weight / sum(remaining.time_weight for remaining in plans[number:])
            seconds = max(end - time.monotonic(), 0) * share * (1 - SPARE)
            steps = max(int(seconds / seconds_per_step(plan, train_data)), 1)
        if code := train(plan, steps, train_data, test_data):
            return code
    return 0


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("--minutes", type=positive, help="time budget for all networks together")
    add_train_data(parser)
    add_test_data(parser)
    options = parser.parse_args()
    main.end_on_signals()
    try:
        with one_line_errors():
            raise SystemExit(train_all(options.minutes, options.train_data, options.test_data))
    except Stopped as stopped:
        raise SystemExit(128 + stopped.signal) from stopped
