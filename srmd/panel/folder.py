"""The private folder of the page's server, for uploads and for the pictures that are shown."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srmd.base.files import is_locked, lock_while_open

PREFIX = "srmd-panel-"
LOCK = "lock"  # a file that is locked while the server runs


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder, removed at the end; folders that killed servers of this user left are removed before."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        with (folder / "new").open("wb") as lock:
            lock_while_open(lock)
            (folder / "new").rename(folder / LOCK)  # other servers see the file only when it is locked
            if is_locked(folder / LOCK):  # not on Windows and some network disks
                _remove_left_folders(folder.parent)
            yield folder


def _remove_left_folders(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        if not is_locked(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)  # those of other users stay
