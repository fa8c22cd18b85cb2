"""Ctrl-C, SIGTERM and SIGHUP as a request that the work in hand looks at when it is ready."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that is empty until SIGINT, SIGTERM or SIGHUP arrives; a second one ends the process at once, as ever.

    Only a second SIGHUP doesn't: a terminal that is closed sends two, one from its shell and one from the system. Where
    SIGHUP is ignored, as under nohup, it stays so.
    """
    requests: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:
        numbers.append(hang_up)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, _frame: object) -> None:
        requests.append(number)
        restore()
        if number == hang_up:
            signal.signal(number, signal.SIG_IGN)

    for number in numbers:
        signal.signal(number, request)
    try:
        yield requests
    finally:
        restore()
