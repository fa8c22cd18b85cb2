"""Servers, and a browser, for the tests of the page."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.browser import free_port
from chromium import chromium
from panel_pages import wait_for_the_end_of_requests, watch
from panel_pictures import write_photo
from patience import PATIENCE

ROOT = Path(__file__).parents[2]
MAIN = (str(ROOT / "main.py"),)
NO_COMPILER = "no-compiler"  # so that no benchmark chooses between convolutions that round differently


# The page with previews that take five seconds, unless a newer one ends them.
SLOW_PREVIEWS = """
import time
import torch
from srmd.__main__ import command
from srmd.panel.session import Session
restored_part = Session._restored_part
def slowly(*arguments):
    for _ in range(50):
        time.sleep(0.1)
        torch.zeros(1)
    return restored_part(*arguments)
Session._restored_part = staticmethod(slowly)
command()
"""


@contextmanager
def running_server(folder: Path, *arguments: str, program: tuple[str, ...] = MAIN) -> Iterator[SimpleNamespace]:
    """A running server: `address`, `port`, `temporary`, `process`, and `log`, the file of what it printed."""
    pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    temporary, log = folder / "temporary", folder / "log.txt"
    temporary.mkdir()
    port = free_port()
    speed = ["--engine=torch", "--precision=fp32"]
    command = [sys.executable, *program, "--mode=panel", f"--port={port}", *arguments, *speed]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "CC": NO_COMPILER}
    environment["PYTHONPATH"] = str(ROOT)
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    while address not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    yield SimpleNamespace(address=address, port=port, temporary=temporary, process=process, log=log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    assert list(temporary.iterdir()) == []  # nothing stays on the disk
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A running server with a picture, which is also its attribute `picture`."""
    folder = tmp_path_factory.mktemp("panel")
    picture = write_photo(folder / "photo.jpg")
    with running_server(folder, str(picture)) as server:
        server.picture = picture
        yield server


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A running server without a picture."""
    with running_server(tmp_path_factory.mktemp("empty")) as server:
        yield server


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A running server without a picture, on which a preview takes five seconds."""
    with running_server(tmp_path, program=("-c", SLOW_PREVIEWS)) as server:
        yield server


@pytest.fixture(scope="module")  # as long as it runs, so does an event loop, and no other test can open a browser
def browser() -> Iterator[object]:
    """A Chromium."""
    pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser: object) -> Iterator[object]:
    """The tabs of one person, which share the browser's cache."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        context.set_default_timeout(1000 * PATIENCE)
        yield context


@pytest.fixture
def page(server: SimpleNamespace, context: object) -> Iterator[object]:
    """A tab that shows the server's picture; fails if it sends a request elsewhere, or a script fails."""
    errors = []
    page = context.new_page()
    watch(page)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.address)
    page.wait_for_selector("#comparison img")
    wait_for_the_end_of_requests(page)
    yield page
    page.close()
    elsewhere = [url for url in page.traffic.urls if not url.startswith((server.address, "data:", "blob:"))]
    assert (elsewhere, errors) == ([], [])
    assert len(page.traffic.urls) > 5
