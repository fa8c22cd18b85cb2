"""The sessions of all tabs, whose number and memory are bounded."""

import secrets
import threading
from collections import OrderedDict
from pathlib import Path

from srmd.base.errors import InputError
from srmd.panel.download import ResultFile
from srmd.panel.session import Compute, Session

MAX_SESSIONS = 8  # with a picture
MAX_BYTES = 2**32  # of their pictures and results together


class Sessions:
    """The sessions by the identifier of their tab; the one that was used longest ago is closed to bound the memory.

    Attributes:
        networks: the networks of all sessions.
        uploads: the paths of the files that were uploaded and not opened yet.
    """

    def __init__(self, compute: Compute):
        self._compute, self.networks = compute, compute.networks
        self.uploads: set[str] = set()
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def session(self, tab: str) -> Session:
        """The session of a tab."""
        with self._lock:
            session = self._sessions.setdefault(tab, Session(self._compute))
            self._sessions.move_to_end(tab)
        self.bound(tab)
        return session

    def bound(self, tab: str) -> None:
        """Closes other tabs with a picture until number and memory are within the bounds."""
        with self._lock:
            others = [name for name, session in self._sessions.items() if session.picture is not None and name != tab]
            while others and self._is_too_much():
                self._close(others.pop(0))

    def _is_too_much(self) -> bool:
        sessions = [session for session in self._sessions.values() if session.picture is not None]
        return len(sessions) > MAX_SESSIONS or sum(session.bytes for session in sessions) > MAX_BYTES

    def close(self, tab: str) -> None:
        """Forgets a tab that was closed."""
        with self._lock:
            if tab in self._sessions:
                self._close(tab)

    def _close(self, tab: str) -> None:
        self._sessions.pop(tab).close()

    def uploaded(self, uploaded: object) -> Path:
        """The path of a file that a browser sends; raises InputError unless it was uploaded and is opened once."""
        path = uploaded.get("path") if isinstance(uploaded, dict) else None
        with self._lock:
            if not isinstance(path, str) or path not in self.uploads:
                raise InputError("expected an uploaded picture, found another path")
            self.uploads.remove(path)
        return Path(path)

    def file(self, secret: str) -> ResultFile | None:
        """The file of a session by its secret; None if no session has it any more."""
        with self._lock:
            files = [session.file for session in self._sessions.values()]
        return next((file for file in files if file and _are_equal(file.secret, secret)), None)


def _are_equal(secret: str, given: str) -> bool:
    """Compares in a time that does not tell how much of a guess is right."""
    return secrets.compare_digest(secret.encode(), given.encode())
