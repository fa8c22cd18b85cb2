"""What ends a command early: something wrong with what was asked for, or a signal."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Says in one line, for a person, what was expected and what was found; `main.py` prints it and exits with 2."""


class Stopped(BaseException):
    """A signal ends the work; like KeyboardInterrupt it is no error, so that no reader takes it for a broken file."""

    def __init__(self, signal: int):
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal


@contextmanager
def asked_by(flag: str) -> Iterator[None]:
    """Puts the name of the flag that asked for something in front of what was wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{flag}: {error}") from error
