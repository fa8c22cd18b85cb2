"""What screenshots and tests of pages need: Chromium, and a free port for a server."""

import random
import socket
from contextlib import suppress
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
    """A port of this machine that no program uses.

    It is none of those that the system gives to outgoing connections (from 32768 or 49152 on): one of them might take
    the port before the server does, and a client that tries to reach the server again and again might reach itself.
    """
    for port in random.SystemRandom().sample(range(11_000, 32_000), 1000):
        with suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port
    raise OSError("expected a free port, found none of 1000")
