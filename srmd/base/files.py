"""Atomic file writes, output folders and the cache folder."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srmd.base.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, with its suffix; the caller writes to it.

    At the end of the `with` block the temporary file is synced to disk and renamed to `path`. After an exception it is
    removed, and an old file at `path` stays: `path` never holds half a file.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)  # Windows syncs a file only if it is open for writing
        temporary.replace(path)
        if os.name != "nt":  # Windows cannot open a folder, and the rename needs no sync there
            _sync(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Creates a folder and its parents; InputError if it cannot be created or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected a folder to write to, found: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: expected a folder to write to, found: no permission")


def cache_folder() -> Path:
    """The folder for benchmark results and compiled code of this machine; RuntimeError without a home folder."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user_cache.is_absolute():  # the XDG specification says to ignore a relative path
        user_cache = Path.home() / ".cache"
    return user_cache / "srmd"


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
