"""What ends a command early: something wrong with what was asked for, or a signal."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Says in one line, for a person, what was expected and what was found.

    `argument` is what the message is about, and what it begins with: the name of an argument, or a file.
    """

    def __init__(self, message: str, argument: str | None = None):
        super().__init__(message if argument is None else f"{argument}: {message}")
        self.argument = argument


class Stopped(BaseException):
    """A signal ends the work; like KeyboardInterrupt it is no error, so that no reader takes it for a broken file."""

    def __init__(self, signal: int):
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal


@contextmanager
def prefix_errors(argument: str) -> Iterator[None]:
    """Puts the name of an argument, or a file, in front of what was wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error), argument) from error
