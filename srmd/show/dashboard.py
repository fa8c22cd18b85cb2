"""The visdom dashboard. It talks to the server in a background thread, so a slow or dead server never delays a run.

`Dashboard` keeps everything that it shows: the points of all curves, the last text of each window and the newest
pictures. The thread always sends a window as a whole. So a lost message does no harm, a restarted server gets all
windows again, and no queue can fill up.
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

MIN_PAUSE_SECONDS = 1.0  # between two updates of the server
PAUSE_FACTOR = 20  # a pause lasts at least this many times as long as the update before it
RETRY_SECONDS = 2.0  # between two attempts to reach the server
POST_TIMEOUT_SECONDS = 5.0  # a server that takes longer to answer counts as lost
CLOSE_TIMEOUT_SECONDS = 3.0  # for sending the last windows and saving the environment
MAX_PICTURES = 32  # pictures that are kept in memory; older ones are dropped
CAPTION_PIXELS = 45  # height that the page needs for a picture's title and caption
TEXT_PIXELS = 580  # width that a table of scores needs
MIN_PANE_PIXELS = 240  # minimum width of a picture's window
MAX_PANE_PIXELS = 1200  # maximum width of a picture's window
MAX_MARKED_POINTS = 100  # shorter lines get markers, because a line of one point would be invisible

Lines = dict[str, tuple[array, array]]  # name: (steps, values)
CaptionedPicture = tuple[np.ndarray, str]  # (H, W, 3) uint8, caption
Content = Lines | CaptionedPicture | str


class NoServer(Enum):
    """What a dashboard does if no server answers at the start."""

    START = "start one"
    WAIT = "wait for one"
    OFF = "turn off"


class Dashboard:
    """Curves, pictures and texts in visdom. Every call returns at once, even if the server is slow, hung or gone.

    Args:
        address: http://HOST:PORT of the server; None turns the dashboard off: all calls do nothing.
        env: name of the visdom environment; characters that visdom can't handle become underscores.
        no_server: what to do if no server answers at the start.
        log: takes the dashboard's messages to the user, one line each; called from the background thread.
        env_path: folder for saved environments of a server that this dashboard starts (default: visdom's, ~/.visdom).
    """

    def __init__(
        self,
        address: str | None,
        env: str = "main",
        no_server: NoServer = NoServer.WAIT,
        log: Callable[[str], None] = logger.info,
        env_path: Path | None = None,
    ) -> None:
        self._address, self._no_server, self._log, self._env_path = address, no_server, log, env_path
        self._env = re.sub(r"[^\w.-]|\.(?=json)", "_", env, flags=re.ASCII)
        self._windows: dict[str, Content] = {}
        self._unsent: set[str] = set()
        self._lock = threading.Lock()  # guards _windows and _unsent; never held while something is sent
        self._wake, self._closing = threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._state = "off" if address is None else "new"  # new, connected, lost or off
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        if address is not None:
            self._thread.start()

    @property
    def url(self) -> str:
        """The address of the dashboard's page; empty if the dashboard is off."""
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
                points.append(value if math.isfinite(value) else math.nan)  # JSON has no infinity; visdom plots a gap
            self._unsent.add(window)
        self._wake.set()

    def image(self, window: str, picture: np.ndarray, caption: str = "") -> None:
        """Shows a picture (H, W, 3) uint8 in place of the window's last one. It is not copied: don't change it."""
        self._put(window, (picture, caption))
        with self._lock:
            pictures = [name for name, content in self._windows.items() if isinstance(content, tuple)]
            for oldest in pictures[:-MAX_PICTURES]:
                del self._windows[oldest]
                self._unsent.discard(oldest)

    def text(self, window: str, html: str) -> None:
        """Shows a text in place of the window's last one."""
        self._put(window, html)

    def close(self) -> None:
        """Sends the unsent windows, saves the environment, and stops the server if this dashboard started it.

        Takes at most a few seconds; returns at once if the server is lost.
        """
        self._closing.set()
        self._wake.set()
        if self._state in ("new", "connected"):
            self._thread.join(CLOSE_TIMEOUT_SECONDS)
        self._state = "off"
        if self._process is not None:
            visdom_server.stop(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, window: str, content: CaptionedPicture | str) -> None:
        if self._state == "off":
            return
        with self._lock:
            self._windows.pop(window, None)  # so that it becomes the newest one
            self._windows[window] = content
            self._unsent.add(window)
        self._wake.set()

    # The methods below run in the background thread.

    def _run(self) -> None:
        try:
            self._find_server()
            while self._state != "off":
                self._update_server()
        except Exception as error:  # an error in the dashboard must not end the run
            self._log(f"dashboard: turned off by an error ({type(error).__name__}: {error})")
            self._state = "off"
        finally:
            if self._process is not None:
                visdom_server.stop(self._process)

    def _find_server(self) -> None:
        if visdom_server.answers(self._address):
            return
        if self._no_server is NoServer.OFF:
            self._state = "off"
        elif self._no_server is NoServer.START:
            port = urlsplit(self._address).port
            self._process = visdom_server.start(port, self._env_path, self._closing)
            if self._process is None and not self._closing.is_set():
                self._log(f"dashboard: visdom did not start on port {port}, or another program uses the port")
                self._state = "lost"

    def _update_server(self) -> None:
        """Sends changed windows for as long as the server answers; after it is lost, waits before the next attempt."""
        try:
            client = self._connect()
            while True:
                self._wake.clear()
                closing = self._closing.is_set()  # read before sending, so that all that came before `close` is sent
                start = time.monotonic()
                self._send_windows(client)
                if closing:
                    self._save(client)
                    break
                self._closing.wait(max(MIN_PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - start)))
                self._wake.wait()
        except ConnectionError:
            self._lose()
        if self._closing.wait(0 if self._state == "connected" else RETRY_SECONDS):
            self._state = "off"

    def _connect(self) -> "visdom.Visdom":
        if not visdom_server.answers(self._address):  # visdom's client would wait longer for a hung server
            raise ConnectionError
        client = _client(self._address, self._env)
        if self._process is not None and not visdom_server.page_is_complete():
            self._log("dashboard: the page will be blank, because its scripts are missing and can't be downloaded")
        self._log(f"dashboard: {'reconnected to ' if self._state == 'lost' else ''}{self.url}")
        self._state = "connected"
        self._send_all_again()
        return client

    def _lose(self) -> None:
        if self._state != "lost" and not self._closing.is_set():
            if self._state == "connected":
                problem = f"lost the server at {self._address}"
            else:
                problem = f"no visdom server answers at {self._address}"
            self._log(f"dashboard: {problem}; the run continues, and the dashboard connects when the server is up")
        self._state = "lost"

    def _send_all_again(self) -> None:
        with self._lock:
            self._unsent.update(self._windows)

    def _send_windows(self, client: "visdom.Visdom") -> None:
        with self._lock:
            sent = next((window for window in self._windows if window not in self._unsent), None)
        if sent is not None and not client.win_exists(sent):  # the server was restarted, or its page was cleared
            self._send_all_again()
        with self._lock:
            windows = [window for window in self._windows if window in self._unsent]  # the newest one comes last
            self._unsent.clear()
        for window in windows:
            if (content := self._copy(window)) is not None:
                _send(client, window, content)

    def _copy(self, window: str) -> Content | None:
        """A copy of a window's content, to be sent without the lock; None for a picture that was dropped."""
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
    log: Callable[[str], None] = logger.info,
    port: int = visdom_server.PORT,
    env_path: Path | None = None,
) -> Dashboard:
    """Opens a dashboard and returns at once.

    Args:
        visdom: "off", the server's address http://HOST:PORT, or "auto": the server on this machine.
        env: name of the visdom environment.
        start_server: with "auto" and without a running server, whether to start one or to turn the dashboard off.
        log: takes the dashboard's messages to the user, one line each.
        port: port of the server on this machine.
        env_path: folder for saved environments of a server that is started (default: visdom's, ~/.visdom).

    Raises InputError for an invalid address.
    """
    if visdom == "off":
        return Dashboard(None)
    if not visdom_server.is_installed():
        log("dashboard: off, because visdom is not installed")
        return Dashboard(None)
    if visdom == "auto":
        no_server = NoServer.START if start_server else NoServer.OFF
        return Dashboard(f"http://127.0.0.1:{port}", env, no_server, log, env_path)
    return Dashboard(check_address(visdom), env, NoServer.WAIT, log)


def check_address(address: str) -> str:
    """The address of a server as http://HOST:PORT, without a final slash; raises InputError for anything else."""
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port and not parts.path.strip("/"):
            return f"{parts.scheme}://{parts.netloc}"
    except ValueError:  # the port is not a number
        pass
    raise InputError(f"expected auto, off or an address like http://localhost:8097, found {address!r}")


def _client(address: str, env: str) -> "visdom.Visdom":
    """Visdom's client, with timeouts and without its log messages."""
    import visdom

    logging.getLogger("visdom").setLevel(logging.CRITICAL)

    class Client(visdom.Visdom):
        def _handle_post(self, url: str, data: str | None = None) -> str:
            self.session.trust_env = False  # ignores the proxies of the environment
            reply = self.session.post(url, data=data, timeout=POST_TIMEOUT_SECONDS)
            reply.raise_for_status()
            return reply.text

    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname  # an IPv6 address
    server = f"{parts.scheme}://{host}"
    return Client(server, port=parts.port, env=env, raise_exceptions=True, use_incoming_socket=False)


def _send(client: "visdom.Visdom", window: str, content: Content) -> None:
    """Sends the whole content of a window; raises ConnectionError."""
    if isinstance(content, str):
        client.text(content, win=window, opts={"title": window, "width": TEXT_PIXELS})
    elif isinstance(content, tuple):
        picture, caption = content
        height, width = picture.shape[:2]
        pane_width = min(max(width, MIN_PANE_PIXELS), MAX_PANE_PIXELS)  # to which the page scales the picture
        size = {"width": pane_width, "height": round(height * pane_width / width) + CAPTION_PIXELS}
        client.image(picture.transpose(2, 0, 1), win=window, opts={"title": window, "caption": caption, **size})
    else:
        _send_lines(client, window, content)


def _send_lines(client: "visdom.Visdom", window: str, lines: Lines) -> None:
    counts = [len(steps) for steps, _ in lines.values()]
    client.scatter(  # visdom's `line` would need lines of equal length
        np.concatenate([np.stack(line, axis=1) for line in lines.values()]),
        np.repeat(np.arange(1, len(lines) + 1), counts),
        win=window,
        opts={
            "title": window,
            "xlabel": "step",
            "legend": list(lines),
            "mode": "lines+markers" if max(counts) <= MAX_MARKED_POINTS else "lines",
            "markersize": 4,
        },
    )
