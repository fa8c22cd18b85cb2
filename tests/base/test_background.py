"""Background threads: the order of items and jobs, their errors, and that they run in parallel with the caller."""

import signal
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, wait

import pytest

from patience import PATIENCE
from srmd.base.background import BackgroundWriter, map_in_order, prefetch


def test_prefetch_yields_each_item_once_and_in_order():
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
            assert fetched[1].wait(PATIENCE)
            assert not fetched[2].is_set()  # only one item is fetched ahead


def test_an_error_of_the_items_is_raised_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    read = prefetch(items())
    assert [next(read), next(read)] == [1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(read)


def test_jobs_run_in_order_and_all_before_the_block_ends():
    done = []
    with BackgroundWriter() as writer:
        for number in range(20):
            writer.submit(done.append, number)
    assert done == list(range(20))


def test_after_ctrl_c_at_the_start_of_a_thread_its_job_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    done, start = [], threading.Thread.start

    def interrupted_start(thread: threading.Thread) -> None:
        start(thread)
        signal.raise_signal(signal.SIGINT)

    def slow() -> None:
        time.sleep(0.2)
        done.append("slow")

    old_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    try:
        with pytest.raises(KeyboardInterrupt), BackgroundWriter() as writer:
            writer.submit(slow)
    finally:
        signal.signal(signal.SIGINT, old_handler)
    assert done == ["slow"]


def test_jobs_run_in_the_background_one_at_a_time():
    may_finish, done = threading.Event(), []

    def slow() -> None:
        assert may_finish.wait(PATIENCE)
        done.append("slow")

    with BackgroundWriter() as writer:
        writer.submit(slow)
        assert not done  # submit did not wait for the job
        may_finish.set()
        writer.submit(lambda: done.append(("after", *done)))
    assert done == ["slow", ("after", "slow")]


def test_as_many_jobs_run_at_once_as_there_are_threads():
    all_run = threading.Barrier(3, timeout=PATIENCE)
    with BackgroundWriter(threads=3) as writer:
        for _ in range(6):
            writer.submit(all_run.wait)  # ends when three jobs wait


def test_the_data_of_jobs_are_limited_but_one_job_may_always_run(monkeypatch: pytest.MonkeyPatch):
    may_finish, both_run, running, most, waits = threading.Event(), threading.Event(), [], [], []

    def recorded_wait(futures: Collection[Future], **options: object) -> object:
        if "return_when" in options and not waits:  # the writer waits for room: only now may jobs finish
            waits.append(len(futures))
            assert len(futures) != 2 or both_run.wait(PATIENCE)
            may_finish.set()
        return wait(futures, **options)

    monkeypatch.setattr("srmd.base.background.wait", recorded_wait)

    def job() -> None:
        running.append(1)
        most.append(len(running))
        if len(running) == 2:
            both_run.set()
        assert may_finish.wait(PATIENCE)
        running.pop()

    def submit_all() -> None:
        with BackgroundWriter(threads=4, max_bytes=100) as writer:
            for size in (50, 50, 60, 500, 10):
                writer.submit(job, size=size)

    submit_all()
    assert waits == [2]
    assert len(most) == 5
    assert max(most) == 2


@pytest.mark.parametrize("later_jobs", [0, 1])
def test_the_error_of_a_job_is_raised_to_the_caller(later_jobs: int):
    def fail() -> None:
        raise OSError("disk full")

    def work() -> None:
        with BackgroundWriter() as writer:
            writer.submit(fail)
            for _ in range(later_jobs):
                writer.submit(print)

    with pytest.raises(OSError, match="disk full"):
        work()


def test_the_running_job_is_finished_when_the_caller_is_interrupted():
    done = []

    def work() -> None:
        with BackgroundWriter() as writer:
            writer.submit(done.append, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 3, 40])
def test_results_of_several_threads_come_in_order(threads: int):
    assert list(map_in_order(lambda number: number**2, range(30), threads)) == [number**2 for number in range(30)]
    assert list(map_in_order(str, [], threads)) == []


def test_several_threads_work_at_once_and_only_a_few_items_ahead():
    started, together = [], threading.Barrier(3)

    def work(number: int) -> int:
        started.append(number)
        if number < 3:
            together.wait(PATIENCE)  # raises BrokenBarrierError if fewer than three threads work
        return number

    results = map_in_order(work, range(100), 3)
    assert next(results) == 0
    assert len(started) <= 5
    assert list(results) == list(range(1, 100))


def test_an_error_in_a_thread_is_raised_after_the_results_before_it():
    def fail_at_3(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = map_in_order(fail_at_3, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
