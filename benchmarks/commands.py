"""What the commands in `benchmarks/` share: their parser, arguments that several of them take, and error messages."""

import importlib.util
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.pages import split_page
from srmd.base.errors import InputError
from srmd.cli.console import print_error
from srmd.cli.values import checked, existing, number
from srmd.pictures.folders import list_pictures

positive = number(0, above=True)  # parses a number above 0


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the process with a line on standard error after an InputError, or an OSError that names a file.

    The exit code is 2 for an InputError, and 1 for an OSError, such as of a full disk.
    """
    try:
        yield
    except (InputError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:
            raise
        print_error(error)
        raise SystemExit(2 if isinstance(error, InputError) else 1) from error


def command_parser(description: str, name: str | None = None) -> ArgumentParser:
    """A parser whose --help has a description, in lines as they are; `name` is the command's (default: its file's)."""
    return ArgumentParser(name, description=description, formatter_class=RawDescriptionHelpFormatter)


def add_train_data(parser: ArgumentParser, name: str = "--train_data", **options: str) -> None:
    """Adds the argument for the pictures to train on; without it, they are the built-in set."""
    described = "folder of pictures or .h5 file (default: the built-in set)"
    parser.add_argument(name, type=existing, help=described, **options)


def add_test_data(parser: ArgumentParser, name: str = "--test_data") -> None:
    """Adds the argument for any number of folders of HR pictures."""
    parser.add_argument(name, type=pictures_folder, nargs="*", default=[], help="folders of HR pictures to score")


def add_page(parser: ArgumentParser, part: str) -> None:
    """Adds --page, for a page with a generated part of this name."""
    page = checked(partial(_page, part))
    parser.add_argument("--page", type=page, help="page whose table is replaced", metavar="FILE")


def _page(part: str, text: str) -> Path:
    split_page(Path(text), part)
    return Path(text)


@checked
def pictures_folder(text: str) -> Path:
    """Parses the path of a folder of pictures."""
    list_pictures(Path(text))
    return Path(text)


def check_installed(package: str, install: str) -> None:
    """Raises InputError if a package is not installed; `install` are the arguments of `pip install`."""
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{package} is not installed: pip install {install}")
