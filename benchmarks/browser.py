"""What screenshots and tests of pages need: Chromium, and a free port for a server."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def launch(driver: "Playwright") -> "Browser":
    """Starts Chromium."""
    return driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def free_port() -> int:
    """A port of this machine that no program uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
