"""Turns at computing: one thread computes at a time, in the order in which they ask."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from srmd.panel.cancel import Cancelled


class Turns:
    """A lock that is handed on in the order of requests; a request that is no longer wanted leaves the line."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._is_taken = False

    @contextmanager
    def turn(self, is_wanted: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Waits for the turn; raises Cancelled if `is_wanted` becomes false before."""
        self._wait(is_wanted)
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def give_way(self) -> None:
        """Inside a turn: lets those who wait take theirs, and waits for the next one."""
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()
        self._wait(lambda: True)

    def _wait(self, is_wanted: Callable[[], bool]) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: not is_wanted() or (not self._is_taken and self._waiting[0] is ticket))
            self._waiting.remove(ticket)
            if not is_wanted():
                self._changed.notify_all()  # the next in line may be first now
                raise Cancelled
            self._is_taken = True

    def check(self) -> None:
        """Lets all that wait find out whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()
