"""Ctrl-C and SIGTERM as a request."""

import os
import signal

import pytest

from signals import stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request(number: int):
    before = signal.getsignal(number)
    with stop_requests() as requests:
        assert not requests
        os.kill(os.getpid(), number)
        assert requests == [number]
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_as_ever():
    with stop_requests() as requests:
        os.kill(os.getpid(), signal.SIGINT)
        assert requests
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
