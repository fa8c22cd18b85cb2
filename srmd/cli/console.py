"""What the command line shows of the library's work: its messages, and progress bars."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from srmd.base.errors import InputError
from srmd.cli.flags import FLAGS
from srmd.config import TrainConfig

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("srmd")

FLAG_NAMES = {"mode", *(flag.name for flag in FLAGS)}
QUOTED_ARGUMENT = re.compile(rf"`({'|'.join(FLAG_NAMES)})(=[^`]*)?`")


class _ConsoleHandler(logging.Handler):
    """Prints messages above the progress bar, if there is one; warnings say that they are warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        given = record.args if isinstance(record.args, tuple) else ()
        words = tuple(one_line(word) if isinstance(word, InputError) else word for word in given)
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        message = name_flags(str(record.msg))  # before names of files are in it
        tqdm.write(prefix + (message % words if words else message))


def name_flags(message: str) -> str:
    """A message of the library, which puts arguments into backticks, with the flags of these names in their place."""
    return QUOTED_ARGUMENT.sub(r"--\1\2", message)


def one_line(error: Exception) -> str:
    """An error's message for a person, on one line; what the library calls an argument is a flag here."""
    line = name_flags(" ".join(str(error).split())) or type(error).__name__
    return f"--{line}" if isinstance(error, InputError) and error.argument in FLAG_NAMES else line


def log_to_console() -> None:
    """Shows what the library logs, once however often this is called."""
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


class Bar:
    """A progress bar that appears with the first progress, for before it something may still be wrong."""

    def __init__(self, **options: object):
        self._options, self._bar = options, None

    def show(self, done: int, total: int, start: int = 0) -> "tqdm":
        """Moves the bar; `start` is where it begins."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=start, **self._options)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        return self._bar

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def training_bar(config: TrainConfig) -> Iterator[Callable[[int, dict | None], None]]:
    """A progress callback (step, what was last logged) of a training run; it shows steps, loss and throughput."""
    bar, shown = Bar(unit="step", mininterval=0.5 if sys.stderr.isatty() else 10), None

    def progress(step: int, row: dict | None) -> None:
        nonlocal shown
        tqdm_bar = bar.show(step, config.steps, start=step - 1)  # of a resumed run the first step is not 1
        if row is not shown:
            tqdm_bar.set_postfix(loss=f"{row['loss']:.4f}", images_per_s=f"{row['images_per_s']:.1f}", refresh=False)
            shown = row

    try:
        yield progress
    finally:
        bar.close()


@contextmanager
def progress_bar(**options: object) -> Iterator[Callable[[int, int], None]]:
    """A progress callback (done, total); nothing is shown where no person is watching."""
    bar = Bar(disable=not sys.stderr.isatty(), **options)
    try:
        yield bar.show
    finally:
        bar.close()
