"""Kinds of paths, atomic file writes, output folders and the cache folder."""

import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from srmd.base.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

TEMPORARY_FILES = f".tmp-srmd-{'[0-9a-f]' * 32}.*"  # the names of `atomic_write`
# What the package keeps in its cache folder: benchmark results and compiled libraries; and what a killed process left.
CACHED_FILES = ("engines.json", "convolution-*.so", TEMPORARY_FILES)
_cleaned_folders: set[Path] = set()  # those in which this process has removed the temporary files of killed ones
LOCK_SECONDS = 5  # to wait for another process that removes temporary files of the same folder
_foreign_folders: set[Path] = set()  # those that another program holds for longer, such as flock of util-linux
NO_PERMISSION = "no permission"  # as `describe_path` says it
MAX_NAME_BYTES = 255  # of a file name, on most file systems
SPECIAL_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def on_one_line(path: str | Path) -> str:
    """A path, or the name of a file, for a message: line feeds, which it may contain, are written as \\n."""
    return str(path).replace("\n", "\\n")


def describe_path(path: str | Path, missing: str = "no such file") -> str:
    """What lies at a path, without opening it: a file, a folder, a pipe, a socket, a device, or `missing`."""
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return NO_PERMISSION
    except (OSError, ValueError):  # ValueError: a null character
        return missing
    if stat.S_ISDIR(mode):
        return "a folder"
    return SPECIAL_FILES.get(stat.S_IFMT(mode), "a file")


def check_is_file(path: str | Path, expected: str = "a file") -> None:
    """Raises InputError unless a file lies at a path; opening a pipe, for example, could block for ever."""
    if (found := describe_path(path)) != "a file":
        raise InputError(f"{path}: expected {expected}, found {found}")


def check_size(path: Path, max_bytes: int) -> None:
    """Raises InputError if a file, which is about to be read whole, has more than `max_bytes` bytes."""
    if (size := path.stat().st_size) > max_bytes:
        raise InputError(f"{path}: expected at most {max_bytes / 1e6:.0f} MB, found {size / 1e6:.0f} MB")


@contextmanager
def name_in_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Gives an OSError raised inside the name `path` if it has none, as that of a full disk, or names `temporary`."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, temporary, str(temporary)):
            raise  # an error of another file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A context that gives a temporary path in the folder of `path`, with its suffix; the caller writes the file there.

    At the end of the `with` block the temporary file is synced to disk and renamed to `path`. After an exception it is
    removed, and an old file at `path` stays: `path` never holds half a file. An OSError, such as of a full disk, names
    `path`. Before, temporary files that killed processes left in the folder are removed.
    """
    temporary = path.with_name(f".tmp-srmd-{uuid.uuid4().hex}{path.suffix}")
    try:
        with name_in_errors(path, temporary), _shared_lock(path.parent):
            yield temporary
            _sync(temporary, os.O_RDWR)  # Windows syncs a file only if it is open for writing
            temporary.replace(path)
            if os.name != "nt":  # the rename is on disk once its folder is synced; Windows cannot open a folder
                _sync(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _shared_lock(folder: Path) -> Iterator[None]:
    """Holds a shared lock of a folder while a temporary file is written there.

    As long as nobody else holds it, no temporary file in the folder is in use: those that are there are removed, once
    per process. Without locks, as on Windows and some network disks, nothing is removed.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            if folder not in _cleaned_folders:
                _remove_unused(folder, descriptor)
            _lock_shared(folder, descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock_shared(folder: Path, descriptor: int) -> None:
    """Takes the shared lock of a folder, or goes on without it if another program does not release the folder."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if folder in _foreign_folders or time.monotonic() > end:
                _foreign_folders.add(folder)
                return
        time.sleep(0.01)


def _remove_unused(folder: Path, descriptor: int) -> None:
    """Removes the temporary files of a folder, unless somebody else holds its lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    remove_temporary_files(folder)
    _cleaned_folders.add(folder)


def remove_temporary_files(folder: Path) -> None:
    """Removes what `atomic_write` left in a folder in processes that were killed; no other process may write there."""
    for path in folder.glob(TEMPORARY_FILES):
        with suppress(OSError):  # a file of another user
            path.unlink()


def lock_while_open(file: IO) -> None:
    """Locks a file of this process until it is closed, also by a kill; `is_locked` tells other processes of it.

    Without effect where there are no locks, as on Windows and some network disks.
    """
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)  # waits for nothing but `is_locked`


def is_locked(path: Path) -> bool:
    """Whether a process has locked a file by `lock_while_open`."""
    if fcntl is None or describe_path(path) != "a file":
        return False
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def make_folder(path: Path) -> None:
    """Creates a folder and its parents; raises InputError if the folder cannot be created or written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = _describe_obstacle(path) or f": {error.strerror}"
        raise InputError(f"{path}: expected a folder to write to, found{found}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"{path}: expected a folder to write to, found: no permission")


def check_folder(path: Path) -> None:
    """Raises InputError if a folder cannot be created or written to, as `make_folder` does, but creates nothing."""
    found = _describe_obstacle(path)
    nearest = next((folder for folder in (path, *path.parents) if describe_path(folder, "nothing") != "nothing"), path)
    if found is None and not os.access(nearest, os.W_OK | os.X_OK):
        found = ": no permission"
    if found:
        raise InputError(f"{path}: expected a folder to write to, found{found}")


def _describe_obstacle(path: Path) -> str | None:
    """What lies in the way of a folder, at its path or at that of a parent, such as ` a file`; None if nothing does."""
    for folder in (path, *path.parents):
        if (found := describe_path(folder, missing="nothing")) not in ("a folder", "nothing", NO_PERMISSION):
            return f" {found}" if folder == path else f" {found} at {folder}"
    return None


@contextmanager
def removed_if_empty(path: Path) -> Iterator[None]:
    """Removes a folder at the end of the `with` block, and its parents, if they were made inside and are empty."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something
            for folder in missing:
                folder.rmdir()


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
