"""Runs the readers of foreign files that may crash in compiled code, in a child process with limits.

SciPy and HDF5 end the process with a segmentation fault on some damaged files, or need gigabytes and minutes for a file
of a few bytes. In a child process all of these are an ordinary error. A fork takes milliseconds, because the child has
the imported modules already.
"""

import faulthandler
import gc
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from srmd.base.errors import InputError

Result = TypeVar("Result")

MAX_MEMORY = 2**30  # bytes that the child may use in addition to those of this process
MAX_RESULT = 2**28  # bytes
MAX_SECONDS = 10  # of processor time
MAX_WALL_SECONDS = 60  # in all, also those in which the child sleeps or waits for a disk; a busy machine is slow
UNKNOWN_STATUS = 256  # above all exit codes
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL} if os.name != "nt" else set()


class ReaderError(Exception):
    """A reader has failed in its child process; the message says why."""


def run_isolated(read: Callable[..., Result], *arguments: object) -> Result:
    """The result of `read(*arguments)`, computed in a child process.

    It may use at most MAX_MEMORY, MAX_SECONDS and MAX_WALL_SECONDS, and its result, pickled, at most MAX_RESULT.
    Import the modules that `read` needs before the call. Raises InputError if `read` raises it, and ReaderError if it
    raises another exception, crashes or exceeds a limit. On systems other than Linux it runs in this process, because
    forking is not safe there.
    """
    if sys.platform != "linux":
        return _run_here(read, arguments)
    with os.fdopen(os.memfd_create("result"), "w+b") as answer:
        child = os.fork()
        if child == 0:
            _run_in_child(read, arguments, answer.fileno())
        status = _wait(child)
        answer.seek(0)
        if status in (0, UNKNOWN_STATUS):
            try:
                succeeded, value = pickle.load(answer)  # written by our own code in the child
            except (EOFError, pickle.UnpicklingError):  # the child ended before it had written all
                raise ReaderError(_describe(status)) from None
            if succeeded:
                return value
            raise value
    raise ReaderError(_describe(status))


def _run_here(read: Callable[..., Result], arguments: tuple) -> Result:
    try:
        return read(*arguments)
    except InputError:
        raise
    except Exception as error:
        raise ReaderError(_message(error)) from error


def _wait(child: int) -> int:
    """Waits for the child, which is ended if an exception such as KeyboardInterrupt ends the waiting; its exit code."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:  # where SIGCHLD is ignored, the system keeps no exit code, but waits all the same
        return UNKNOWN_STATUS
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)
        raise


def _run_in_child(read: Callable, arguments: tuple, answer: int) -> NoReturn:
    """Writes whether `read` succeeded, and its result or error, to the file `answer`, and ends the process."""
    try:
        _prepare_child()
        try:
            content = pickle.dumps((True, read(*arguments)), pickle.HIGHEST_PROTOCOL)
        except InputError as error:
            content = pickle.dumps((False, InputError(str(error))))
        except Exception as error:
            content = pickle.dumps((False, ReaderError(_message(error))))
        if len(content) > MAX_RESULT:
            content = pickle.dumps((False, ReaderError(f"it holds more than {MAX_RESULT / 1e6:.0f} MB")))
        with os.fdopen(answer, "wb", closefd=False) as file:
            file.write(content)
        os._exit(0)
    finally:
        os._exit(1)  # the exit handlers and buffers are those of the parent process


def _prepare_child() -> None:
    """Sets the limits and the usual effect of signals; messages of libraries are discarded."""
    import resource  # Windows has none

    gc.disable()  # objects of the parent process must not be finalised here
    faulthandler.disable()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(MAX_WALL_SECONDS)  # ends the process, also inside of a call of compiled code or of the system
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    with open("/proc/self/statm") as file:
        address_space = int(file.read().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_AS, address_space + MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, hard))


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"reading it needs more than {MAX_MEMORY / 1e6:.0f} MB of memory"
    return str(error) or type(error).__name__


def _describe(status: int) -> str:
    """Why a child process ended with a status other than 0."""
    if -status == signal.SIGXCPU:
        return f"reading it takes more than {MAX_SECONDS} s"
    if -status == signal.SIGALRM:
        return f"reading it takes more than {MAX_WALL_SECONDS} s"
    if -status in CRASHES:
        return "it is damaged: its reader crashed"
    if status == UNKNOWN_STATUS:
        return "its reader gave no answer"
    return f"its reader ended with status {status}"
