"""Turns at computing: one thread computes at a time, in the order in which they ask."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is handed on in the order of requests; a request that is no longer wanted leaves the line."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._is_taken = False

    @contextmanager
    def turn(self, is_wanted: Callable[[], bool] = lambda: True) -> Iterator[bool]:
        """Waits for the turn; the `with` block gets whether it has it. It has not if `is_wanted` became false."""
        has_turn = self._wait(is_wanted)
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._changed:
                    self._is_taken = False
                    self._changed.notify_all()

    def give_way(self) -> None:
        """Inside a turn: lets those who wait take theirs, and waits for the next one."""
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()
        self._wait(lambda: True)

    def _wait(self, is_wanted: Callable[[], bool]) -> bool:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: not is_wanted() or (not self._is_taken and self._waiting[0] is ticket))
            self._waiting.remove(ticket)
            has_turn = is_wanted()
            if has_turn:
                self._is_taken = True
            else:
                self._changed.notify_all()  # the next in line may be first now
            return has_turn

    def check(self) -> None:
        """Lets all that wait find out whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()
