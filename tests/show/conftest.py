"""Fixtures of the tests that need a visdom server."""

import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.browser import free_port
from patience import wait_longer_for_servers
from srmd.show import dashboard, visdom_server


@pytest.fixture(autouse=True, scope="module")
def _patience():
    """A busy machine is slow. Tests of servers that hang set shorter times."""
    with pytest.MonkeyPatch.context() as patch:
        wait_longer_for_servers(patch)
        yield


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    """Pauses are shorter than in use, so that the tests take less time."""
    monkeypatch.setattr(dashboard, "MIN_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(dashboard, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(dashboard, "PAUSE_FACTOR", 1)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port, tmp_path) -> Iterator["subprocess.Popen[bytes]"]:
    process = visdom_server.start(port, tmp_path / "env")
    assert process is not None
    yield process
    visdom_server.stop(process)


@pytest.fixture(scope="module")
def shared_port(tmp_path_factory) -> Iterator[int]:
    """The port of one server for all tests that do not stop it; each uses another environment."""
    port = free_port()
    process = visdom_server.start(port, tmp_path_factory.mktemp("env"))
    yield port
    visdom_server.stop(process)
