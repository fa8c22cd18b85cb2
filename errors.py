"""The one error that is the asker's to mend: a bad value, a missing file, a file that is not what its flag wants."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(Exception):
    """Says in one line, for a person, what was expected and what was found; `main.py` prints it and exits with 2."""


@contextmanager
def asked_by(flag: str) -> Iterator[None]:
    """Puts the name of the flag that asked for something in front of what was wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{flag}: {error}") from error
