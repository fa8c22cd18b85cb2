"""The visdom server on this machine: its start, its end, and its page without a network."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import visdom

from patience import PATIENCE
from srmd.show import visdom_server
from visdom_windows import eventually

ROOT = Path(__file__).parents[2]


def test_the_server_listens_on_loopback_only(shared_port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, but gives this machine's own address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    assert visdom_server.is_running(shared_port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, shared_port), timeout=60)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server):
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_the_server_ends_when_its_parent_is_killed(port, tmp_path):
    script = "import sys, pathlib; from srmd.show import visdom_server as v; "
    script += f"v.START_SECONDS = {PATIENCE}; p = v.start(int(sys.argv[1]), pathlib.Path(sys.argv[2])); "
    script += "sys.stdin.read()"
    command = [sys.executable, "-c", script, str(port), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as parent:
        eventually(lambda: visdom_server.is_running(port))
        parent.kill()
    eventually(lambda: not visdom_server.is_running(port))


def test_a_hung_server_and_another_program_do_not_count_as_running(monkeypatch):
    monkeypatch.setattr(visdom_server, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        port = hung.getsockname()[1]
        start = time.monotonic()
        assert not visdom_server.is_running(port)
        assert visdom_server.start(port) is None
        assert time.monotonic() - start < 60  # without time limits, it would wait for ever
    monkeypatch.setattr(visdom_server, "ANSWER_SECONDS", PATIENCE)
    served = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as other_program:

        def answer() -> None:
            connection, _ = other_program.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")
            connection.close()
            served.set()

        threading.Thread(target=answer, daemon=True).start()
        assert not visdom_server.is_running(other_program.getsockname()[1])
        assert served.wait(60)


@pytest.fixture
def without_page_and_network(tmp_path) -> dict[str, str]:
    """Environment variables that hide npm and the network, with a visdom that has just been installed."""
    skip = shutil.ignore_patterns("version.built", "*.min.js", "mathjax", "__pycache__")
    shutil.copytree(Path(visdom.__file__).parent, tmp_path / "fresh" / "visdom", ignore=skip)
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    return os.environ | proxies | {"PYTHONPATH": str(tmp_path / "fresh"), "PATH": "/nonexistent"}


def test_fetching_without_npm_logs_one_message_and_succeeds(without_page_and_network):
    command = [sys.executable, "-m", "srmd.show.visdom_server", "--fetch"]
    done = subprocess.run(command, cwd=ROOT, env=without_page_and_network, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "npm is not installed" in done.stdout
    assert done.stderr == ""


def test_without_scripts_and_network_the_server_runs_and_a_message_says_that_the_page_is_blank(
    without_page_and_network, port, tmp_path
):
    script = f"""
import sys, time, pathlib
sys.modules["torch"] = None  # hides torch, so that visdom starts sooner
from srmd.show import dashboard, visdom_server
visdom_server.START_SECONDS = visdom_server.ANSWER_SECONDS = {PATIENCE}
dashboard.POST_TIMEOUT_SECONDS = dashboard.CLOSE_TIMEOUT_SECONDS = {PATIENCE}
messages = []
env_path = pathlib.Path({str(tmp_path)!r})
with dashboard.open_dashboard("auto", "srmd_a", True, messages.append, {port}, env_path) as board:
    board.curves("loss", 1, {{"loss": 1.0}})
    deadline = time.monotonic() + {PATIENCE}
    while len(messages) < 2 and time.monotonic() < deadline:
        time.sleep(.05)
print(*messages, sep="\\n")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=without_page_and_network, capture_output=True, text=True, check=True)
    blank, url = done.stdout.splitlines()
    assert "blank" in blank
    assert url == f"dashboard: http://localhost:{port}/env/srmd_a"
    assert done.stderr == ""
    assert (tmp_path / "srmd_a.json").is_file()


def test_serving_on_a_port_with_a_server_is_an_error(shared_port, monkeypatch, capsys):
    monkeypatch.setattr(visdom_server, "PORT", shared_port)
    monkeypatch.setattr(sys, "argv", ["visdom_server"])
    assert visdom_server.main() == 1
    assert capsys.readouterr().err == f"http://localhost:{shared_port}: a visdom server is already running\n"
