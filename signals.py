"""Ctrl-C and SIGTERM as a request that the work in hand looks at when it is ready."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM arrives; a second one ends the process at once, as ever."""
    requests: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, _frame: object) -> None:
        requests.append(number)
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield requests
    finally:
        restore()
