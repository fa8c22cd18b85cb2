"""Faults from outside a run: a pack that changes, a dashboard's server that hangs, a loss that is not finite."""

import os
import shutil
import signal
import time
from pathlib import Path

from benchmarks.browser import free_port
from srmd.show import visdom_server
from torture.commands import (
    check_one_line,
    check_run_folder,
    rows_of,
    run,
    start,
    train,
    wait_until,
)

STOPPED_SECONDS = 20
MAX_SLOWDOWN = 2.0

# Runs the command with the loss or a weight of one step replaced.
NOT_FINITE = """
import sys, torch
from srmd.solver import Solver
from srmd.__main__ import command
kind, step, value = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sys.argv[1:4] = []
training_step = Solver.training_step
def changed_step(solver):
    loss = training_step(solver)
    if solver.step == step:
        if kind == "loss":
            return torch.full_like(loss, value)
        with torch.no_grad():
            getattr(solver, kind).head.bias[0] = value
    return loss
Solver.training_step = changed_step
command()
"""


def changed_pack() -> str:
    """Changes a pack while a run reads it: the run is saved and ends with one line, or goes on with the old file."""
    code, error = run("--mode=prepare", "--train_data=pictures", "--output=good.h5")
    assert code == 0, error
    endings = []
    for name, change in CHANGES.items():
        shutil.copyfile("good.h5", "pack.h5")
        folder = Path(f"run_{name}")
        process = start(*train(folder, "--train_data=pack.h5", "--steps=200", "--save_every=100", "--cache=off"))
        wait_until(lambda folder=folder: len(rows_of(folder)) >= 2, process)
        change(Path("pack.h5"))
        _, error = process.communicate()
        check_run_folder(folder)
        if process.returncode:
            check_one_line(process.returncode, error, "pack.h5: expected the pixels of", "the run is saved at step")
        steps = max(int(path.stem.split("-")[1]) for path in folder.glob("checkpoint-*.pt"))
        endings.append(f"{name}: exit code {process.returncode} at step {steps}")
        assert (process.returncode == 0) == (name in GOES_ON), endings[-1]
    return "; ".join(endings)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2**16)
        file.write(os.urandom(path.stat().st_size - 2**16))


def _replace(path: Path) -> None:
    Path("other.h5").write_bytes(os.urandom(1000))
    os.replace("other.h5", path)


CHANGES = {
    "overwritten": _overwrite,
    "cut": lambda path: os.truncate(path, 2**16 + 100),
    "emptied": lambda path: os.truncate(path, 0),
    "replaced": _replace,
    "removed": Path.unlink,
}
GOES_ON = ("replaced", "removed")  # the run has the old file open


def stopped_server() -> str:
    """Stops the dashboard's server with SIGSTOP: the run goes on at its speed, and ends although it never answers."""
    port = free_port()
    server = visdom_server.start(port, Path("env"))
    assert server is not None
    try:
        flags = ("--train_data=pictures", "--steps=1000000", "--save_every=1000000")
        process = start(*train("run", *flags, f"--visdom=http://127.0.0.1:{port}"))
        wait_until(lambda: len(rows_of(Path("run"))) >= 3, process)
        before = _steps_per_second(Path("run"))
        os.kill(server.pid, signal.SIGSTOP)
        stopped = _steps_per_second(Path("run"))
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        _, error = process.communicate()
        assert process.returncode == 143, error
        check_run_folder(Path("run"))
        seconds = time.monotonic() - begin
        assert stopped > before / MAX_SLOWDOWN, f"{before:.1f} steps/s, then {stopped:.1f}"
    finally:
        os.kill(server.pid, signal.SIGCONT)
        visdom_server.stop(server)
    return (
        f"{before:.1f} steps/s with the server, {stopped:.1f} while it is stopped; saved and ended in {seconds:.1f} s"
    )


def _steps_per_second(folder: Path) -> float:
    """Steps per second of the run in the folder over the next seconds."""
    first, begin = rows_of(folder)[-1]["step"], time.monotonic()
    time.sleep(STOPPED_SECONDS)
    return (rows_of(folder)[-1]["step"] - first) / (time.monotonic() - begin)


def not_finite() -> str:
    """Makes a loss or a weight NaN or infinite: the run ends with one line, and the save before it stays."""
    flags = ("--train_data=pictures", "--steps=40", "--save_every=5")
    cases = [(kind, value) for kind in ("loss", "network", "ema") for value in ("nan", "inf", "-inf")]
    for kind, value in cases:
        folder = Path(f"{kind}_{value}")
        code, error = run(kind, "10", value, *train(folder, *flags), program=("-c", NOT_FINITE))
        check_one_line(code, error, "start a new run with a lower --lr")
        assert [path.name for path in folder.glob("checkpoint-*.pt")] == ["checkpoint-0000005.pt"], kind
        check_run_folder(folder)
    code, error = run(*train("diverged", *flags, "--lr=1", "--loss=l2"))
    check_run_folder(Path("diverged"))
    ending = "stayed finite" if code == 0 else "ended"
    return f"{len(cases)} runs with a loss or weight that is not finite keep their last save; one with --lr=1 {ending}"
