"""main.py as test_distributed starts it by torchrun: a process may wait at a certain point until the test goes on.

The environment variable HOLD is `RANK:NUMBER`: the process of this rank waits before the training step, or before
writing the picture, with this number. It writes its process number to the file `held`, and goes on when the file `go`
exists; before a training step also when a signal has arrived.

When Python exits, each process writes the names of its threads to the file `threads-RANK`.
"""

import atexit
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import torch

from srmd.__main__ import command
from srmd.base import distributed
from srmd.evaluate import restoring
from srmd.solver import Solver


def write_threads() -> None:
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            names.append((task / "comm").read_text().strip())
    Path(f"threads-{os.environ['RANK']}").write_text("\n".join(names))


def may_go() -> bool:
    return Path("go").exists()


def tell_test() -> None:
    Path("new").write_text(str(os.getpid()))
    Path("new").rename("held")


def wait_until(is_over: Callable[[], bool]) -> None:
    while not is_over():
        time.sleep(0.02)


def hold_step(number: int) -> None:
    """Lets the training step with this number wait."""
    training_step, received = Solver.training_step, []

    def recorded(handler: Callable) -> Callable:
        return lambda *arguments: (received.append(arguments), handler(*arguments))

    def held(solver: Solver) -> torch.Tensor:
        if solver.step == number - 1:
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, recorded(signal.getsignal(each)))
            tell_test()
            wait_until(lambda: received or may_go())
        return training_step(solver)

    Solver.training_step = held


def hold_picture(number: int) -> None:
    """Lets the writing of the picture with this number, and of those after it, wait."""
    write_picture, numbers = restoring.write_picture, count(1)

    def held(*arguments: object) -> None:
        own = next(numbers)
        if own == number:
            tell_test()
        if own >= number:
            wait_until(may_go)
        write_picture(*arguments)

    restoring.write_picture = held


if __name__ == "__main__":
    if Path("/proc/self/task").exists():  # on Linux
        atexit.register(write_threads)
    signal.alarm(1800)  # ends the process if the test has ended without it
    distributed.SECONDS_FOR_FIRST = 600  # on a busy machine, the first process may find its error late
    rank, number = os.environ.get("HOLD", ":").split(":")
    if rank == os.environ["RANK"]:
        hold_step(int(number))
        hold_picture(int(number))
    command()
