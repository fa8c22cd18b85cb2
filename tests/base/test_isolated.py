"""A child process turns crashes, endless loops and memory bombs of a reader into errors."""

import ctypes
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from srmd.base import isolated
from srmd.base.errors import InputError
from srmd.base.isolated import ReaderError, run_isolated

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere readers run in the same process")


def crash() -> None:
    ctypes.string_at(0)


def loop() -> NoReturn:
    while True:
        pass


def refuse() -> NoReturn:
    raise InputError("expected an array", "file.mat")


# In a process of its own, whose only child is that of `run_isolated`, and that does not ignore SIGINT.
INTERRUPTED = """
import os, signal, time
from srmd.base.isolated import run_isolated
def wait():
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(900)
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    run_isolated(wait)
except KeyboardInterrupt:
    print("interrupted")
os.waitpid(-1, os.WNOHANG)  # raises ChildProcessError: there is no child any more
"""


def test_the_result_comes_back():
    def read(first: int, second: int) -> dict:
        return {"sum": first + second, "array": np.arange(3)}

    result = run_isolated(read, 1, 2)
    assert result["sum"] == 3
    assert result["array"].tolist() == [0, 1, 2]


def test_a_crash_is_an_error_and_prints_nothing(capfd: pytest.CaptureFixture):
    with pytest.raises(ReaderError, match="crashed"):
        run_isolated(crash)
    assert capfd.readouterr() == ("", "")


def test_an_endless_loop_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isolated, "MAX_SECONDS", 1)
    with pytest.raises(ReaderError, match="more than 1 s"):
        run_isolated(loop)


def test_a_child_that_waits_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isolated, "MAX_WALL_SECONDS", 1)
    with pytest.raises(ReaderError, match="more than 1 s"):
        run_isolated(time.sleep, 60)


@pytest.mark.parametrize("read", [lambda: bytearray(2**31), lambda: np.zeros(2**29)])
def test_more_memory_than_allowed_is_an_error(read):
    with pytest.raises(ReaderError, match="needs more than 1074 MB of memory"):
        run_isolated(read)


def test_a_large_result_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isolated, "MAX_RESULT", 10_000)
    with pytest.raises(ReaderError, match="holds more than"):
        run_isolated(bytes, 20_000)


def test_errors_come_back_with_their_message():
    with pytest.raises(InputError, match=r"file\.mat: expected an array"):
        run_isolated(refuse)
    with pytest.raises(ReaderError, match="division by zero"):
        run_isolated(lambda: 1 / 0)


@pytest.mark.parametrize("before", ["", "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"])
def test_ctrl_c_ends_the_child(before: str):
    command = [sys.executable, "-c", before + INTERRUPTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stdout == "interrupted\n"
    assert "ChildProcessError" in done.stderr, done.stderr


# Where SIGCHLD is ignored, as some supervisors let their programs inherit it, the system keeps no exit codes.
WITHOUT_EXIT_CODES = """
import os, signal
from srmd.base.isolated import ReaderError, run_isolated
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(run_isolated(lambda: "answer"))
try:
    run_isolated(lambda: os._exit(3))
except ReaderError as error:
    print(error)
"""


def test_a_child_whose_exit_code_is_not_kept():
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXIT_CODES], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("answer\nits reader gave no answer\n", "")
