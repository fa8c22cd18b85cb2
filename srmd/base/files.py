"""Atomic file writes, output folders and the cache folder."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srmd.base.errors import InputError

# What the package keeps in its cache folder: benchmark results and compiled libraries; and what a killed process left.
CACHED_FILES = ("engines.json", "convolution-*.so", f".{'[0-9a-f]' * 32}.*")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A context that gives a temporary path in the folder of `path`, with its suffix; the caller writes the file there.

    At the end of the `with` block the temporary file is synced to disk and renamed to `path`. After an exception it is
    removed, and an old file at `path` stays: `path` never holds half a file.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)  # Windows syncs a file only if it is open for writing
        temporary.replace(path)
        if os.name != "nt":  # the rename is on disk once its folder is synced; Windows cannot open a folder
            _sync(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Creates a folder and its parents; raises InputError if the folder cannot be created or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected a folder to write to, found: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: expected a folder to write to, found: no permission")


def cache_folder() -> Path:
    """The folder for benchmark results and compiled code; raises RuntimeError if the user has no home folder."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user_cache.is_absolute():  # the XDG specification says to ignore a relative path
        user_cache = Path.home() / ".cache"
    return user_cache / "srmd"


def clear_cache() -> list[Path]:
    """Removes the files of this package from its cache folder, and the folder if it is then empty.

    Returns the paths of what was removed. Raises RuntimeError if the user has no home folder.
    """
    folder = cache_folder()
    removed = sorted(path for pattern in CACHED_FILES for path in folder.glob(pattern))
    for path in removed:
        path.unlink()
    with suppress(OSError):  # it is missing, or holds something else
        folder.rmdir()
    return removed


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
