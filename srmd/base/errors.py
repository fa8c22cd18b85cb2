"""Exceptions that end a command early: a wrong input, or a signal."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """A wrong argument or file: the message says in one line what was expected and what was found.

    `argument` is the name of the wrong argument, or the path of the wrong file; the message starts with it.
    """

    def __init__(self, message: str, argument: str | None = None):
        super().__init__(message if argument is None else f"{argument}: {message}")
        self.argument = argument


class Stopped(BaseException):
    """A signal ended the work.

    It derives from BaseException, as KeyboardInterrupt does: `except Exception` around a file reader must not take it
    for a broken file.
    """

    def __init__(self, signal: int):
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal


@contextmanager
def prefix_errors(argument: str) -> Iterator[None]:
    """Puts the name of an argument, or the path of a file, in front of the message of an InputError raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error), argument) from error
