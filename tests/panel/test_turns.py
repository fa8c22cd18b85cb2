"""Turns at computing."""

import threading
import time

from srmd.panel.cancel import Cancelled
from srmd.panel.turns import Turns


def start(turns: Turns, done: list, name: str, is_wanted=lambda: True) -> threading.Thread:
    def work() -> None:
        try:
            with turns.turn(is_wanted):
                done.append(name)
        except Cancelled:
            done.append(f"not {name}")

    waiting = len(turns._waiting)
    thread = threading.Thread(target=work)
    thread.start()
    while len(turns._waiting) == waiting:
        time.sleep(0.001)
    return thread


def test_turns_are_taken_in_the_order_of_requests_and_one_at_a_time():
    turns, done = Turns(), []
    with turns.turn():
        threads = [start(turns, done, name) for name in "abcd"]
        assert done == []
    for thread in threads:
        thread.join()
    assert done == list("abcd")


def test_a_request_that_is_no_longer_wanted_leaves_the_line_at_once():
    turns, done, wanted = Turns(), [], [True]
    with turns.turn():
        first = start(turns, done, "old", lambda: wanted[0])
        second = start(turns, done, "new")
        wanted[0] = False
        turns.check()
        first.join()
        assert done == ["not old"]
    second.join()
    assert done == ["not old", "new"]


def test_an_error_ends_a_turn():
    turns = Turns()
    try:
        with turns.turn():
            raise ValueError
    except ValueError:
        pass
    done = []
    with turns.turn():
        done.append("next")
    assert done == ["next"]
