"""Fixtures of the tests that need a visdom server."""

import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.browser import free_port
from srmd.show import dashboard, visdom_server

PATIENCE_SECONDS = 240.0  # for what takes a second or two on an idle machine


@pytest.fixture(autouse=True, scope="module")
def _patience():
    """On a busy machine, a server may take long to start and to answer: only those that hang count as such.

    Tests of servers that hang set shorter times.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visdom_server, "START_SECONDS", PATIENCE_SECONDS)
        patch.setattr(visdom_server, "ANSWER_SECONDS", PATIENCE_SECONDS)
        patch.setattr(dashboard, "POST_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        patch.setattr(dashboard, "CLOSE_TIMEOUT_SECONDS", PATIENCE_SECONDS)
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
