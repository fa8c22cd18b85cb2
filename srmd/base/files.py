"""A file is there whole, or not at all; and where files are kept between runs."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srmd.base.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, of the same suffix: synced and renamed at the end, or removed."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)  # Windows syncs only what is open for writing
        temporary.replace(path)
        if os.name != "nt":  # which opens no folder, and needs no sync of it
            _sync(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it; InputError where that can't be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected a folder to write to, found: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: expected a folder to write to, found: no permission")


def cache_folder() -> Path:
    """Where what was found out about this machine, or built for it, is kept; RuntimeError where there is no home."""
    asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (asked if asked.is_absolute() else Path.home() / ".cache") / "srmd"


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
