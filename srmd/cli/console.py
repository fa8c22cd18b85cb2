"""The library's messages and progress bars on the console."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from srmd.base.errors import InputError
from srmd.base.files import name_in_errors, on_one_line
from srmd.cli.flags import FLAGS
from srmd.cli.standard_output import STANDARD_OUTPUT
from srmd.config import TrainConfig

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("srmd")

MAX_TRAINING_LINES = 100
MIN_LINE_SECONDS = 10.0

FLAG_NAMES = {"mode", *(flag.name for flag in FLAGS)}
# Control characters but the line feed, and those that change the direction of a text.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
QUOTED_ARGUMENT = re.compile(rf"`({'|'.join(FLAG_NAMES)})(=[^`]*)?`")


class _ConsoleHandler(logging.Handler):
    """Prints messages above the progress bar, if there is one; warnings get the prefix `warning: `."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        arguments = record.args if isinstance(record.args, tuple) else ()
        arguments = tuple(map(_shown, arguments))
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        message = name_flags(str(record.msg))  # before file names are inserted, which may also contain backticks
        with name_in_errors(STANDARD_OUTPUT):
            tqdm.write(printable(prefix + (message % arguments if arguments else message)))
            with suppress(OSError):  # what can't be written stays in the buffer, and is an error at the end
                sys.stdout.flush()  # a file or a pipe gets each message at once


def _shown(value: object) -> object:
    """An argument of a message on one line: errors name flags, and line feeds in the names of files are escaped."""
    if isinstance(value, InputError):
        return one_line(value)
    return on_one_line(value) if isinstance(value, str | Path) else value


def printable(text: str) -> str:
    """A text whose control characters, except for line feeds, are written as escapes such as \\x1b.

    File names may contain them, and a terminal would take them for commands or turn the direction of the text.
    """
    return CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def name_flags(message: str) -> str:
    """A message of the library with each argument in backticks replaced by the flag: `lr` by --lr."""
    return QUOTED_ARGUMENT.sub(r"--\1\2", message)


def one_line(error: Exception) -> str:
    """An error's message on one line, with flags instead of the library's argument names."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(" ".join(f"{error.filename}: {error.strerror}".split()))  # without the number of the error
    line = name_flags(" ".join(str(error).split())) or type(error).__name__
    return printable(f"--{line}" if isinstance(error, InputError) and error.argument in FLAG_NAMES else line)


def print_error(error: Exception, name: str = "") -> None:
    """Prints an error on one line of standard error, after a name; one that can't be written is passed over.

    So a full disk does not change the exit code, which tells at least the kind of error.
    """
    with suppress(OSError):
        print(f"{name}{one_line(error)}", file=sys.stderr)


def log_to_console() -> None:
    """Prints the library's log messages; calling it again has no effect."""
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


def discard_log() -> None:
    """Discards the library's log messages."""
    logger.addHandler(logging.NullHandler())


class Bar:
    """A progress bar that appears at the first progress, so that no bar is shown before an early error message.

    Args:
        options: keyword arguments of tqdm.
    """

    def __init__(self, **options: object):
        self._options = options
        self._bar = None

    def show(self, done: int, total: int, start: int = 0) -> "tqdm":
        """Moves the bar to `done` of `total`, and returns it; `start` is the value at which it appears."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=start, **self._options)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        return self._bar

    def close(self) -> None:
        """Ends the bar; what it shows stays on the screen."""
        if self._bar is not None:
            self._bar.close()


class TrainingLines:
    """The progress of a training as lines on standard error, for files and pipes, where a bar would be one long line.

    There is a line for the last step, and at most MAX_TRAINING_LINES others, which are at least MIN_LINE_SECONDS apart.
    """

    def __init__(self, steps: int):
        self._steps = steps
        self._start: tuple[int, float] | None = None  # step and time before the first step of this process
        self._last = 0, 0.0  # step and time of the last line

    def show(self, step: int, row: dict | None) -> None:
        """Prints a line if it is time for one; `row` is the last logged one."""
        now = time.monotonic()
        if self._start is None:
            self._start = self._last = step - 1, now
        is_due = step - self._last[0] >= self._steps / MAX_TRAINING_LINES and now - self._last[1] >= MIN_LINE_SECONDS
        if not is_due and step < self._steps:
            return
        self._last = step, now
        parts = [f"step {step} of {self._steps}"]
        if row is not None:
            parts += [f"loss {row['loss']:.4f}", f"{row['images_per_s']:.1f} images/s"]
        if step < self._steps:
            from tqdm import tqdm

            seconds_per_step = (now - self._start[1]) / (step - self._start[0])
            parts.append(f"{tqdm.format_interval(seconds_per_step * (self._steps - step))} left")
        with suppress(OSError):  # such as a full disk, or a closed pipe: the training goes on without its lines
            print(", ".join(parts), file=sys.stderr)


@contextmanager
def training_bar(config: TrainConfig) -> Iterator[Callable[[int, dict | None], None]]:
    """A progress callback (step, last logged row) of a training run, which shows step, loss and throughput.

    It shows a bar on a terminal, and lines elsewhere.
    """
    if not sys.stderr.isatty():
        yield TrainingLines(config.steps).show
        return
    bar = Bar(unit="step", mininterval=0.5)
    shown_row = None

    def progress(step: int, row: dict | None) -> None:
        nonlocal shown_row
        tqdm_bar = bar.show(step, config.steps, start=step - 1)  # a resumed run does not start at step 1
        if row is not shown_row:
            tqdm_bar.set_postfix(loss=f"{row['loss']:.4f}", images_per_s=f"{row['images_per_s']:.1f}", refresh=False)
            shown_row = row

    try:
        yield progress
    finally:
        bar.close()


@contextmanager
def progress_bar(**options: object) -> Iterator[Callable[[int, int], None]]:
    """A progress callback (done, total) with a bar on a terminal; it shows nothing where stderr is not a terminal."""
    bar = Bar(disable=not sys.stderr.isatty(), **options)
    try:
        yield bar.show
    finally:
        bar.close()
