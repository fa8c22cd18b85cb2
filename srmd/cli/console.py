"""What the command line shows of the library's work: its messages, and progress bars."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from srmd.cli.flags import FLAGS
from srmd.config import TrainConfig

logger = logging.getLogger("srmd")


class _ConsoleHandler(logging.Handler):
    """Prints messages above the progress bar, if there is one; warnings say that they are warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(prefix + name_flags(record.getMessage()))


def name_flags(message: str) -> str:
    """A message of the library, which puts arguments into backticks, with the flags of these names in their place."""
    return re.sub(rf"`({'|'.join(flag.name for flag in FLAGS)})(=[^`]*)?`", r"--\1\2", message)


def log_to_console() -> None:
    """Shows what the library logs, once however often this is called."""
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())


@contextmanager
def training_bar(config: TrainConfig) -> Iterator[Callable[[int, dict], None]]:
    """A progress callback of a training run; it shows steps, loss and throughput."""
    from tqdm import tqdm

    bar = None

    def progress(step: int, row: dict) -> None:
        nonlocal bar
        if bar is None:  # only now it is known which step a resumed run begins with
            seconds = 0.5 if sys.stderr.isatty() else 10
            bar = tqdm(total=config.steps, initial=step - 1, unit="step", mininterval=seconds)
        if row:
            bar.set_postfix(loss=f"{row['loss']:.4f}", images_per_s=f"{row['images_per_s']:.1f}", refresh=False)
        bar.update(step - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def _bar(**options: object) -> Iterator[Callable[[int, int], None]]:
    """A progress callback (done, total); nothing is shown where no person is watching."""
    from tqdm import tqdm

    with tqdm(disable=not sys.stderr.isatty(), **options) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def test_bar() -> "contextmanager":
    """A progress callback of a test, in pixels."""
    return _bar(unit="px", unit_scale=True)


def packing_bar() -> "contextmanager":
    """A progress callback of packing, in pictures."""
    return _bar(desc="packing", unit="picture")
