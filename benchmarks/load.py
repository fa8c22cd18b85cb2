"""Other programs that keep processor cores busy while something is measured."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOADS = {0: "quiet", 1: "one busy core", 2: "two busy cores"}


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Runs `count` processes during the `with` block, each of which computes without a pause."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
