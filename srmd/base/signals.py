"""Ctrl-C, SIGTERM and SIGHUP as requests to stop, which a loop checks when it can stop safely."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list to which the number of the first SIGINT, SIGTERM or SIGHUP is appended.

    A second SIGINT or SIGTERM has its usual effect and ends the process at once. A second SIGHUP is ignored: closing a
    terminal sends two, one from the shell and one from the system. If SIGHUP was ignored before, as under nohup, it
    stays ignored. Outside the main thread, which alone can set handlers, the list stays empty.
    """
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    sighup = getattr(signal, "SIGHUP", None)  # Windows has no SIGHUP
    if sighup is not None and signal.getsignal(sighup) != signal.SIG_IGN:
        numbers.append(sighup)
    old_handlers = {number: signal.getsignal(number) for number in numbers}

    def restore_handlers() -> None:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)

    def record(number: int, _frame: object) -> None:
        requests.append(number)
        restore_handlers()
        if number == sighup:
            signal.signal(number, signal.SIG_IGN)

    for number in numbers:
        signal.signal(number, record)
    try:
        yield requests
    finally:
        restore_handlers()


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Delays SIGINT, SIGTERM and SIGHUP to the end of the `with` block.

    Use it around imports of compiled modules, and calls of compiled code that may call Python: if a signal handler
    raises an exception there, pybind11 turns it into an ImportError or ends the process. It has no effect outside the
    main thread, because Python runs handlers only in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    old_handlers = {number: signal.getsignal(number) for number in numbers if callable(signal.getsignal(number))}
    for number in old_handlers:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
