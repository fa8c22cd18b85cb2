"""Settings of Pillow that are global variables, set around this package's own calls only, for all threads together."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from PIL import Image

_lock = threading.Lock()
_users = 0  # how many `with pillow_settings()` blocks are running, in all threads
_settings = ExitStack()  # restores what they have changed


class _Counter(threading.local):
    warnings = 0


_counter = _Counter()


@contextmanager
def pillow_settings() -> Iterator[None]:
    """Sets what Pillow knows as global variables: it has no limit of pixels, and its warnings are counted only.

    Several threads may read pictures at once: the first one that enters changes the settings, and the last one that
    leaves restores them. With `warnings.catch_warnings` in each thread, one would restore the filters of another.
    """
    global _users
    with _lock:
        if _users == 0:
            _settings.enter_context(_changed_settings())
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _settings.close()


def count_warnings() -> int:
    """The number of warnings that were raised in this thread inside of `with pillow_settings()` blocks so far."""
    return _counter.warnings


@contextmanager
def _changed_settings() -> Iterator[None]:
    old_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _count_warning  # Pillow warns of small defects, but reads the picture
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = old_limit


def _count_warning(*_: object, **__: object) -> None:
    _counter.warnings += 1
