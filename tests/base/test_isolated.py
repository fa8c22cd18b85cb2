"""A child process turns crashes, endless loops and memory bombs of a reader into errors."""

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

import numpy as np
import pytest

from srmd.base import isolated
from srmd.base.errors import InputError
from srmd.base.isolated import ReaderError, run_isolated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere readers run in the same process")


def crash() -> None:
    ctypes.string_at(0)


def loop() -> NoReturn:
    while True:
        pass


def refuse() -> NoReturn:
    raise InputError("expected an array", "file.mat")


def wait() -> NoReturn:
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
    raise AssertionError("the child was not ended")


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


def test_ctrl_c_ends_the_child():
    with pytest.raises(KeyboardInterrupt):
        run_isolated(wait)
    with pytest.raises(ChildProcessError):  # there is no child any more
        os.waitpid(-1, os.WNOHANG)
