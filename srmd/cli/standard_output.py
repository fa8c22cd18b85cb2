"""Prints to standard output."""

from pathlib import Path

from srmd.base.files import name_in_errors

STANDARD_OUTPUT = Path("standard output")  # its name in errors


def print_text(text: str, end: str = "\n") -> None:
    """Prints a text. An OSError, such as of a full disk, names standard output."""
    with name_in_errors(STANDARD_OUTPUT):
        print(text, end=end)
