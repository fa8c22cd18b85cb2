"""Background threads that read the next picture and write the previous ones while a picture is computed."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Self, TypeVar

from srmd.base.signals import deferred_signals

Item = TypeVar("Item")
Result = TypeVar("Result")
END = object()  # what `next` returns after the last item; it is not None, because an item may be None


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The items in order; a thread fetches the next item while the caller uses the current one.

    An error that `items` raises is raised to the caller after the items before it.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        next_item = thread.submit(next, iterator, END)
        while (item := next_item.result()) is not END:
            next_item = thread.submit(next, iterator, END)
            yield item


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """The results of `function` for each item, in order, computed by several threads.

    At most one result per thread, and one more, is computed ahead, so that not all of them are in memory. An error that
    `function` raises is raised to the caller after the results before it.
    """
    ahead: deque[Future] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


class BackgroundWriter:
    """Runs jobs in threads, by default one after another.

    The next `submit`, or the end of the `with` block, raises the error of a job that failed.

    Args:
        threads: maximum number of jobs that run at once.
        max_bytes: maximum size of the data of all jobs that run at once; one job alone may have more.
    """

    def __init__(self, threads: int = 1, max_bytes: float = math.inf):
        self._threads, self._max_bytes = threads, max_bytes

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(self._threads)
        self._running: dict[Future, int] = {}  # the size of each job's data
        return self

    def submit(self, job: Callable, *arguments: object, size: int = 0) -> None:
        """Waits until there is room for a job whose data have `size` bytes, and starts it."""
        self._remove(wait(self._running, timeout=0).done)
        while self._running and not self._has_room(size):
            self._remove(wait(self._running, return_when=FIRST_COMPLETED).done)
        with deferred_signals():  # Ctrl-C inside would leave a job that runs, but that the end does not wait for
            self._running[self._pool.submit(job, *arguments)] = size

    def _has_room(self, size: int) -> bool:
        return len(self._running) < self._threads and sum(self._running.values()) + size <= self._max_bytes

    def _remove(self, finished: set[Future]) -> None:
        """Forgets jobs that have finished, and raises the error of one that failed."""
        for future in finished:
            del self._running[future]
            future.result()

    def __exit__(self, error_type: type | None, *_: object) -> None:
        self._pool.shutdown()  # waits for the running jobs, so that their files are written completely
        if error_type is None:  # otherwise the exception of the block is raised, and not that of a job
            self._remove(set(self._running))
