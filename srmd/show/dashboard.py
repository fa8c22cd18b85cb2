"""Visdom, in a thread of its own: nothing that happens there slows or stops anything.

What is shown is kept here: the points of every curve, the last text of every window and the last few pictures. The
thread sends whole windows and never parts of them, so an answer that got lost does no harm, a server that comes back
gets everything again, and there is no queue that could fill.
"""

import logging
import math
import re
import threading
import time
from array import array
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import numpy as np

from srmd.base.errors import InputError
from srmd.show import visdom_server

if TYPE_CHECKING:
    import subprocess

    import visdom

logger = logging.getLogger("srmd")

PAUSE_SECONDS = 1.0  # between two sendings at least,
PAUSE_FACTOR = 20  # and this many times what the last one took: it never costs more than a twentieth of anything
RETRY_SECONDS = 2.0
POST_SECONDS = 5.0  # a server that takes longer counts as lost
CLOSE_SECONDS = 3.0
MOST_PICTURES = 32  # kept, so that a test of a thousand pictures does not keep them all in memory: the newest win
CAPTION_PIXELS = 45  # the page writes a picture's caption above and below it
TEXT_PIXELS = 580  # wide enough for a table of scores
FEW_POINTS = 100  # up to here they get markers: a line of one point would not be seen

Lines = dict[str, tuple[array, array]]  # name: (steps, values)
Picture = tuple[np.ndarray, str]  # (H, W, 3) uint8, caption
Content = Lines | Picture | str


class Absent(Enum):
    """What to do where no server answers at first."""

    START = "start one"
    WAIT = "wait for one"
    OFF = "do without"


class Dashboard:
    """Curves, pictures and texts in visdom; every call returns at once, whatever becomes of the server.

    Args:
        address: http://HOST:PORT of the server; None: everything here does nothing.
        env: name of visdom's environment; characters that visdom stumbles over become underscores.
        absent: what to do where no server answers at first.
        say: takes the few lines that are for a person, from another thread.
        env_path: where a server that is started here keeps saved environments (visdom's own place).
    """

    def __init__(
        self,
        address: str | None,
        env: str = "main",
        absent: Absent = Absent.WAIT,
        say: Callable[[str], None] = logger.info,
        env_path: Path | None = None,
    ) -> None:
        self._address, self._absent, self._say, self._env_path = address, absent, say, env_path
        self._env = re.sub(r"[^\w.-]|\.(?=json)", "_", env, flags=re.ASCII)
        self._windows: dict[str, Content] = {}
        self._unsent: set[str] = set()
        self._lock = threading.Lock()  # guards the two above; never held while anything is sent
        self._wake, self._closing = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._state = "off" if address is None else "new"  # new, up, lost, off
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        if address is not None:
            self._thread.start()

    @property
    def url(self) -> str:
        """The page to show people; empty where the dashboard is off."""
        return "" if self._address is None else f"{self._address.replace('127.0.0.1', 'localhost')}/env/{self._env}"

    def curves(self, window: str, step: int, values: dict[str, float]) -> None:
        """Appends one point to each named line of a line plot."""
        if self._state == "off":
            return
        with self._lock:
            lines = self._windows.setdefault(window, {})
            for name, value in values.items():
                steps, points = lines.setdefault(name, (array("d"), array("d")))
                steps.append(step)
                points.append(value if math.isfinite(value) else math.nan)  # JSON knows no infinity; nan is a gap
            self._unsent.add(window)
        self._wake.set()

    def image(self, window: str, picture: np.ndarray, caption: str = "") -> None:
        """Shows a picture, (H, W, 3) uint8, in place of the window's last; it is not copied, so leave it as it is."""
        self._put(window, (picture, caption))
        with self._lock:
            pictures = [name for name, content in self._windows.items() if isinstance(content, tuple)]
            for oldest in pictures[:-MOST_PICTURES]:
                del self._windows[oldest]
                self._unsent.discard(oldest)

    def text(self, window: str, html: str) -> None:
        """Shows a text in place of the window's last."""
        self._put(window, html)

    def close(self) -> None:
        """Sends what is left, saves the environment and ends the server if it was started here.

        Takes at most a few seconds, and none where the server is known to be gone.
        """
        self._closing.set()
        self._wake.set()
        if self._state in ("new", "up"):
            self._thread.join(CLOSE_SECONDS)
        self._state = "off"
        if self._process is not None:
            visdom_server.stop(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, window: str, content: Picture | str) -> None:
        if self._state == "off":
            return
        with self._lock:
            self._windows[window] = content
            self._unsent.add(window)
        self._wake.set()

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            self._find_server()
            while self._state != "off":
                self._talk()
        except Exception as error:  # the dashboard may break, the run may not
            self._say(f"dashboard: off, for it failed ({type(error).__name__}: {error})")
            self._state = "off"
        finally:
            if self._process is not None:
                visdom_server.stop(self._process)

    def _find_server(self) -> None:
        if visdom_server.answers(self._address):
            return
        if self._absent is Absent.OFF:
            self._state = "off"
        elif self._absent is Absent.START:
            port = urlsplit(self._address).port
            self._process = visdom_server.start(port, self._env_path, self._closing)
            if self._process is None and not self._closing.is_set():
                self._say(f"dashboard: none, for visdom did not start on port {port} or the port is taken")
                self._state = "lost"

    def _talk(self) -> None:
        """Sends what there is, for as long as the server answers; then waits for it to come back."""
        try:
            client = self._connect()
            while True:
                self._wake.clear()
                closing = self._closing.is_set()  # asked in this order, so nothing that came before is left out
                began = time.monotonic()
                self._send_windows(client)
                if closing:
                    self._save(client)
                    break
                self._closing.wait(max(PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - began)))
                self._wake.wait()
        except ConnectionError:
            self._lose()
        if self._closing.wait(0 if self._state == "up" else RETRY_SECONDS):
            self._state = "off"

    def _connect(self) -> "visdom.Visdom":
        if not visdom_server.answers(self._address):  # quicker than the client to give up a hung one
            raise ConnectionError
        client = _client(self._address, self._env)
        if self._process is not None and not visdom_server.page_is_complete():
            self._say(
                "dashboard: its page will be blank, for visdom's page scripts are missing and there is no network"
            )
        self._say(f"dashboard: {'back at ' if self._state == 'lost' else ''}{self.url}")
        self._state = "up"
        self._send_all_again()
        return client

    def _lose(self) -> None:
        if self._state != "lost" and not self._closing.is_set():
            lost = "lost" if self._state == "up" else "no visdom server answers"
            self._say(f"dashboard: {lost} at {self._address}; the run goes on, and the dashboard when it is back")
        self._state = "lost"

    def _send_all_again(self) -> None:
        with self._lock:
            self._unsent.update(self._windows)

    def _send_windows(self, client: "visdom.Visdom") -> None:
        with self._lock:
            known = next((window for window in self._windows if window not in self._unsent), None)
        if known is not None and not client.win_exists(known):  # another server, or emptied, while nothing was sent
            self._send_all_again()
        with self._lock:  # those of now: points that come in meanwhile wait for the next sending
            windows = [window for window in self._windows if window in self._unsent]  # in order of first showing
            self._unsent.clear()
        for window in windows:
            if (content := self._copy(window)) is not None:
                _send(client, window, content)

    def _copy(self, window: str) -> Content | None:
        """What a window shows by now; None where it is a picture that newer ones have pushed out."""
        with self._lock:
            content = self._windows.get(window)
            if isinstance(content, dict):
                return {name: (steps[:], points[:]) for name, (steps, points) in content.items()}
            return content

    def _save(self, client: "visdom.Visdom") -> None:
        if self._windows:
            client.save([self._env])


def open_dashboard(
    visdom: str,
    env: str,
    start_server: bool,
    say: Callable[[str], None] = logger.info,
    port: int = visdom_server.PORT,
    env_path: Path | None = None,
) -> Dashboard:
    """The dashboard that the flag asks for, "auto", "off" or http://HOST:PORT; returns at once.

    "auto" is the server on this port of loopback. Where none runs, it is started, or without `start_server` there is
    no dashboard, silently.
    """
    if visdom == "off":
        return Dashboard(None)
    if not visdom_server.is_installed():
        say("dashboard: none, for visdom is not installed")
        return Dashboard(None)
    if visdom == "auto":
        absent = Absent.START if start_server else Absent.OFF
        return Dashboard(f"http://127.0.0.1:{port}", env, absent, say, env_path)
    return Dashboard(check_address(visdom), env, Absent.WAIT, say)


def check_address(address: str) -> str:
    """The address of a server as http://HOST:PORT without a slash at its end; raises InputError for anything else."""
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port and not parts.path.strip("/"):
            return f"{parts.scheme}://{parts.netloc}"
    except ValueError:  # a port that is no number
        pass
    raise InputError(f"expected auto, off or an address like http://localhost:8097, found {address!r}")


def _client(address: str, env: str) -> "visdom.Visdom":
    """Visdom's own client, but with time-outs, and silent."""
    import visdom

    logging.getLogger("visdom").setLevel(logging.CRITICAL)

    class Client(visdom.Visdom):
        def _handle_post(self, url: str, data: str | None = None) -> str:
            self.session.trust_env = False  # no proxy in between
            reply = self.session.post(url, data=data, timeout=POST_SECONDS)
            reply.raise_for_status()
            return reply.text

    parts = urlsplit(address)
    server = f"{parts.scheme}://{parts.hostname}"
    return Client(server, port=parts.port, env=env, raise_exceptions=True, use_incoming_socket=False)


def _send(client: "visdom.Visdom", window: str, content: Content) -> None:
    """Sends one window, whole; raises ConnectionError."""
    if isinstance(content, str):
        client.text(content, win=window, opts={"title": window, "width": TEXT_PIXELS})
    elif isinstance(content, tuple):
        picture, caption = content
        height, width = picture.shape[:2]
        pane = min(max(width, 240), 1200)  # the page scales the picture to its pane's width
        size = {"width": pane, "height": round(height * pane / width) + CAPTION_PIXELS}
        client.image(picture.transpose(2, 0, 1), win=window, opts={"title": window, "caption": caption, **size})
    else:
        _send_lines(client, window, content)


def _send_lines(client: "visdom.Visdom", window: str, lines: Lines) -> None:
    counts = [len(steps) for steps, _ in lines.values()]
    client.scatter(  # `line` wants lines of one length
        np.concatenate([np.stack(line, axis=1) for line in lines.values()]),
        np.repeat(np.arange(1, len(lines) + 1), counts),
        win=window,
        opts={
            "title": window,
            "xlabel": "step",
            "legend": list(lines),
            "mode": "lines+markers" if max(counts) <= FEW_POINTS else "lines",
            "markersize": 4,
        },
    )
