"""The dashboard with real visdom servers that start, hang, die and come back."""

import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import requests

from srmd.show import dashboard, visdom_server
from srmd.show.dashboard import Dashboard, open_dashboard
from visdom_windows import eventually, line, window

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # inside visdom
SHORT = 30  # seconds, an eighth of those that a dashboard waits for a server in these tests


def make_calls(board: Dashboard) -> None:
    """Makes 300 calls over about one second."""
    picture = np.zeros((64, 256, 3), np.uint8)
    for step in range(300):
        board.curves("loss", step, {"loss": 1.0})
        if step % 50 == 0:
            board.image("samples", picture)
        time.sleep(0.003)


@pytest.mark.parametrize("state", ["up", "dead", "hung"])
def test_calls_return_at_once_while_the_server_is_up_dead_or_hung(state, server, port, monkeypatch):
    senders, post = set(), requests.Session.post

    def recorded_post(*arguments: object, **options: object) -> requests.Response:
        senders.add(threading.current_thread().name)
        return post(*arguments, **options)

    board = open_dashboard("auto", "srmd_a", False, log=str, port=port)
    board.curves("loss", 0, {"loss": 1.0})
    eventually(lambda: line(port, "srmd_a", "loss")[0] == [0])
    monkeypatch.setattr(requests.Session, "post", recorded_post)
    if state != "up":
        server.send_signal(signal.SIGKILL if state == "dead" else signal.SIGSTOP)
    if state == "hung":
        monkeypatch.setattr(dashboard, "CLOSE_TIMEOUT_SECONDS", 0.2)
    start = time.monotonic()
    make_calls(board)
    eventually(lambda: senders)
    board.close()
    assert time.monotonic() - start < SHORT
    assert senders == {"dashboard"}, "a call has waited for the server"


def test_a_restarted_server_gets_everything_again_and_two_messages_are_logged(server, port, tmp_path, capfd):
    messages = []
    with open_dashboard("auto", "srmd_a", False, log=messages.append, port=port) as board:
        board.text("run", "x2")
        for step in range(10):
            board.curves("loss", step, {"loss": step})
        eventually(lambda: len(line(port, "srmd_a", "loss")[0]) == 10)
        visdom_server.stop(server)
        for step in range(10, 20):
            board.curves("loss", step, {"loss": step})
        eventually(lambda: len(messages) == 2)
        again = visdom_server.start(port, tmp_path / "other")
        for step in range(20, 30):
            board.curves("loss", step, {"loss": step})
        eventually(lambda: len(line(port, "srmd_a", "loss")[0]) == 30)
        assert line(port, "srmd_a", "loss") == (list(range(30)), list(range(30)))
        assert window(port, "srmd_a", "run")["content"] == "x2"
    visdom_server.stop(again)
    assert ["lost" in text for text in messages] == [False, True, False]
    assert messages[2] == f"dashboard: reconnected to {board.url}"
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_restart_between_two_updates_loses_no_window(server, port, tmp_path):
    with open_dashboard("auto", "srmd_a", False, log=str, port=port) as board:
        board.text("run", "x2")
        eventually(lambda: window(port, "srmd_a", "run"))
        visdom_server.stop(server)
        again = visdom_server.start(port, tmp_path / "other")
        board.curves("loss", 1, {"loss": 1.0})
        eventually(lambda: window(port, "srmd_a", "run") and window(port, "srmd_a", "loss"))
    visdom_server.stop(again)


def test_a_server_that_hangs_for_a_while_gets_every_point_once(server, port, monkeypatch):
    messages = []
    with open_dashboard("auto", "srmd_a", False, log=messages.append, port=port) as board:
        board.curves("loss", 0, {"loss": 0})
        eventually(lambda: line(port, "srmd_a", "loss")[0] == [0])
        with monkeypatch.context() as patch:
            patch.setattr(dashboard, "POST_TIMEOUT_SECONDS", 0.5)
            patch.setattr(visdom_server, "ANSWER_SECONDS", 0.5)
            server.send_signal(signal.SIGSTOP)
            board.curves("loss", 1, {"loss": 1})
            eventually(lambda: len(messages) == 2)
            board.curves("loss", 2, {"loss": 2})
        server.send_signal(signal.SIGCONT)
        eventually(lambda: line(port, "srmd_a", "loss")[0] == [0, 1, 2])
    assert ["lost" in text for text in messages] == [False, True, False]


def test_auto_starts_and_stops_a_server_and_its_curves_are_saved(port, tmp_path):
    messages = []
    with open_dashboard("auto", "srmd_a", True, log=messages.append, port=port, env_path=tmp_path) as board:
        board.curves("loss", 1, {"loss": 0.5})
        eventually(lambda: messages)
        assert visdom_server.is_running(port)
    assert not visdom_server.is_running(port)
    assert messages[-1] == f"dashboard: http://localhost:{port}/env/srmd_a"
    later = visdom_server.start(port, tmp_path)
    try:
        assert line(port, "srmd_a", "loss") == ([1], [0.5])
    finally:
        visdom_server.stop(later)


def test_a_run_that_ends_while_its_server_starts_does_not_wait_for_it(port, tmp_path, monkeypatch):
    asked = threading.Event()
    monkeypatch.setattr(visdom_server, "is_running", lambda port: asked.set())  # the start takes as long as it may
    board = open_dashboard("auto", "srmd_a", True, log=str, port=port, env_path=tmp_path)
    assert asked.wait(visdom_server.START_SECONDS)
    start = time.monotonic()
    board.close()
    assert time.monotonic() - start < SHORT
    assert not visdom_server.answers(f"http://127.0.0.1:{port}")


def test_auto_without_starting_a_server_logs_nothing_where_none_runs(port):
    messages = []
    with open_dashboard("auto", "srmd_a", False, log=messages.append, port=port) as board:
        board.curves("loss", 1, {"loss": 0.5})
        time.sleep(0.3)
    assert messages == []


def test_an_address_where_no_server_answers_logs_one_message(port):
    messages = []
    with open_dashboard(f"http://localhost:{port}/", "srmd_a", False, log=messages.append) as board:
        board.curves("loss", 1, {"loss": 0.5})
        eventually(lambda: messages)
        time.sleep(0.5)  # further attempts log nothing
    assert len(messages) == 1
    assert f"http://localhost:{port}" in messages[0]


def test_auto_starts_no_server_on_a_port_that_another_program_uses(monkeypatch):
    monkeypatch.setattr(visdom_server, "ANSWER_SECONDS", 0.5)  # the other program does not answer
    messages = []
    with socket.create_server(("127.0.0.1", 0)) as other_program:
        port = other_program.getsockname()[1]
        with open_dashboard("auto", "srmd_a", True, log=messages.append, port=port) as board:
            board.curves("loss", 1, {"loss": 0.5})
            eventually(lambda: messages)
    assert messages == [f"dashboard: visdom did not start on port {port}, or another program uses the port"]


class IPv6Server(HTTPServer):
    """A server that takes requests at an IPv6 address."""

    address_family = socket.AF_INET6


def test_a_server_is_found_by_its_ipv6_address():
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_error(500)

        def log_message(self, *arguments: object) -> None: ...

    try:
        server = IPv6Server(("::1", 0), Handler)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ConnectionError):  # the server is none of visdom
            dashboard._client(f"http://[::1]:{server.server_port}", "srmd_a")
        server.shutdown()
    assert paths
