"""Work beside the work: order, errors, and that it does overlap."""

import threading
from collections.abc import Iterator

import pytest

from srmd.base.background import BackgroundWriter, prefetch

SECONDS = 20  # after which a test that waits in vain fails


def test_items_come_in_their_order_each_once():
    assert list(prefetch(range(50))) == list(range(50))
    assert list(prefetch([])) == []
    assert list(prefetch([None, 0])) == [None, 0]


def test_the_next_item_is_fetched_while_one_is_in_use():
    fetched = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(fetched):
            event.set()
            yield number

    for number in prefetch(items()):
        if number == 0:
            assert fetched[1].wait(SECONDS)
            assert not fetched[2].is_set()  # not all of a folder at once


def test_an_error_of_reading_comes_behind_what_was_read():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    read = prefetch(items())
    assert [next(read), next(read)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(read)


def test_things_are_done_in_order_and_all_before_the_end():
    done = []
    with BackgroundWriter() as behind:
        for number in range(20):
            behind.submit(done.append, number)
    assert done == list(range(20))


def test_a_thing_is_done_while_the_work_goes_on_and_one_at_a_time():
    go_on, done = threading.Event(), []

    def slow() -> None:
        assert go_on.wait(SECONDS)
        done.append("slow")

    with BackgroundWriter() as behind:
        behind.submit(slow)
        assert not done  # and yet we are here
        go_on.set()
        behind.submit(lambda: done.append(("after", *done)))
    assert done == ["slow", ("after", "slow")]


@pytest.mark.parametrize("more", [0, 1])
def test_what_fails_behind_is_raised(more: int):
    def fail() -> None:
        raise OSError("disk full")

    def work() -> None:
        with BackgroundWriter() as behind:
            behind.submit(fail)
            for _ in range(more):
                behind.submit(print)

    with pytest.raises(OSError, match="disk full"):
        work()


def test_what_is_being_done_is_finished_when_the_work_is_stopped():
    done = []

    def work() -> None:
        with BackgroundWriter() as behind:
            behind.submit(done.append, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
