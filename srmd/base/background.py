"""Background threads that read the next picture and write the previous one while a picture is computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

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
    """Runs jobs one after another in a thread.

    The next `submit`, or the end of the `with` block, raises the error of a job that failed.
    """

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1)
        self._running: Future | None = None
        return self

    def submit(self, job: Callable, *arguments: object) -> None:
        """Waits for the previous job, then starts this one: at most one job and its data are in memory."""
        self._wait()
        self._running = self._thread.submit(job, *arguments)

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

    def __exit__(self, error_type: type | None, *_: object) -> None:
        self._thread.shutdown()  # waits for the running job, so that its file is written completely
        if error_type is None:  # otherwise the exception of the block is raised, and not that of a job
            self._wait()
