"""Background work: while a picture is computed, the next one is read and the last one is written."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

Item = TypeVar("Item")
END = object()


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The items in their order, each fetched in a thread while the one before is in use; errors come in their place."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, iterator, END)
        while (item := following.result()) is not END:
            following = thread.submit(next, iterator, END)
            yield item


class BackgroundWriter:
    """Does jobs one by one in a thread; an error of a job is raised by the next `submit`, or at the end."""

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1)
        self._last: Future | None = None
        return self

    def submit(self, work: Callable, *arguments: object) -> None:
        """Starts a job when the one before is done, so that never more than one waits in memory."""
        self._finish()
        self._last = self._thread.submit(work, *arguments)

    def _finish(self) -> None:
        if self._last is not None:
            self._last.result()

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._thread.shutdown()  # a file that is being written becomes a whole one
        if kind is None:
            self._finish()
