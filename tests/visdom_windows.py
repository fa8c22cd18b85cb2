"""What the dashboard's tests share: windows of a visdom server, and waiting."""

import time
from collections.abc import Callable
from json import loads

import visdom

from patience import PATIENCE


def eventually(check: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until the check returns something true; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"still false after {seconds} s"
        time.sleep(0.02)


def window(port: int, env: str, name: str) -> dict:
    """Visdom's data of a window; empty where there is no such window."""
    client = visdom.Visdom(port=port, env=env, use_incoming_socket=False, raise_exceptions=True)
    return loads(client.get_window_data(name) or "{}") if client.win_exists(name) else {}


def line(port: int, env: str, name: str) -> tuple[list, list]:
    """Steps and values of the first line in a window."""
    traces = window(port, env, name).get("content", {}).get("data", [{"x": [], "y": []}])
    return traces[0]["x"], traces[0]["y"]
