"""The dashboard against real visdom servers: up, dead, hung, killed and back; and its page in a real browser."""

import base64
import io
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from json import loads
from pathlib import Path

import numpy as np
import pytest
import visdom
from PIL import Image

from srmd.base.errors import InputError
from srmd.show import dashboard, visdom_server
from srmd.show.dashboard import open_dashboard

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # inside visdom


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Seconds become tenths, so that a hung server costs these tests little."""
    monkeypatch.setattr(dashboard, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(dashboard, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(dashboard, "POST_SECONDS", 1.0)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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
def shared(tmp_path_factory) -> Iterator[int]:
    """The port of one server for all tests that leave it as it is, each with an environment of its own."""
    port = free_port()
    process = visdom_server.start(port, tmp_path_factory.mktemp("env"))
    yield port
    visdom_server.stop(process)


def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits until the check holds; the test fails where it does not."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "not within the time allowed"
        time.sleep(0.02)


def window(port: int, env: str, name: str) -> dict:
    """What the server shows in a window; empty where it has no such window."""
    client = visdom.Visdom(port=port, env=env, use_incoming_socket=False, raise_exceptions=True)
    return loads(client.get_window_data(name) or "{}") if client.win_exists(name) else {}


def line(port: int, env: str, name: str) -> tuple[list, list]:
    traces = window(port, env, name).get("content", {}).get("data", [{"x": [], "y": []}])
    return traces[0]["x"], traces[0]["y"]


def slowest_calls(shown: dashboard.Dashboard) -> list[float]:
    """Seconds that each of some hundred calls took, over about a second."""
    picture = np.zeros((64, 256, 3), np.uint8)
    taken = []
    for step in range(300):
        began = time.perf_counter()
        shown.curves("loss", step, {"loss": 1.0})
        if step % 50 == 0:
            shown.image("samples", picture)
        taken.append(time.perf_counter() - began)
        time.sleep(0.003)
    return taken


def test_curves_arrive_with_their_names_and_every_point(shared):
    with open_dashboard("auto", "srmd_curves", False, say=str, port=shared) as shown:
        for step in range(1, 301):
            shown.curves("PSNR", step, {"SRMD": step / 10})
        shown.curves("PSNR", 300, {"bicubic": 29.0})
    content = window(shared, "srmd_curves", "PSNR")["content"]
    ours, bicubic = content["data"]
    assert (ours["name"], ours["x"], ours["y"]) == ("SRMD", list(range(1, 301)), [step / 10 for step in range(1, 301)])
    assert (bicubic["name"], bicubic["x"], bicubic["y"]) == ("bicubic", [300], [29.0])
    assert (content["layout"]["title"], content["layout"]["xaxis"]["title"]) == ("PSNR", "step")


def test_a_loss_that_is_no_number_is_a_gap_in_the_curve(shared):
    with open_dashboard("auto", "srmd_gap", False, say=str, port=shared) as shown:
        for step, value in enumerate((1.0, float("nan"), float("inf"), 2.0)):
            shown.curves("loss", step, {"loss": value})
    assert line(shared, "srmd_gap", "loss") == ([0, 1, 2, 3], [1.0, None, None, 2.0])


def test_pictures_and_texts_arrive_as_they_are_and_the_last_one_stays(shared):
    picture = np.random.default_rng(0).integers(0, 256, (30, 70, 3), np.uint8)
    with open_dashboard("auto", "srmd_pictures", False, say=str, port=shared) as shown:
        shown.image("samples", np.zeros_like(picture), "step 1")
        shown.image("samples", picture, "step 2")
        shown.text("run", "<b>x2</b>")
    content = window(shared, "srmd_pictures", "samples")["content"]
    png = base64.b64decode(content["src"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), picture)
    assert content["caption"] == "step 2"
    assert window(shared, "srmd_pictures", "run")["content"] == "<b>x2</b>"


def test_a_name_that_visdom_would_stumble_over_still_gets_its_page(shared):
    with open_dashboard("auto", "srmd_a/b c+d?.json", False, say=str, port=shared) as shown:
        shown.text("run", "here")
    assert shown.url == f"http://localhost:{shared}/env/srmd_a_b_c_d__json"
    assert window(shared, "srmd_a_b_c_d__json", "run")["content"] == "here"


@pytest.mark.parametrize("state", ["up", "dead", "hung"])
def test_calls_return_at_once_whatever_the_server_does(state, server, port):
    shown = open_dashboard("auto", "srmd_a", False, say=str, port=port)
    shown.curves("loss", 0, {"loss": 1.0})
    eventually(lambda: line(port, "srmd_a", "loss")[0] == [0])
    if state != "up":
        server.send_signal(signal.SIGKILL if state == "dead" else signal.SIGSTOP)
    taken = slowest_calls(shown)
    began = time.monotonic()
    shown.close()
    assert statistics.median(taken) < 0.001
    assert sorted(taken)[-3] < 0.05  # two hiccups of a busy machine are nobody's fault
    assert time.monotonic() - began < (3.0 if state == "up" else 1.5)


def test_after_a_kill_and_a_restart_everything_is_there_again_and_two_lines_tell(server, port, tmp_path, capfd):
    said = []
    with open_dashboard("auto", "srmd_a", False, say=said.append, port=port) as shown:
        shown.text("run", "x2")
        for step in range(10):
            shown.curves("loss", step, {"loss": step})
        eventually(lambda: len(line(port, "srmd_a", "loss")[0]) == 10)
        visdom_server.stop(server)
        for step in range(10, 20):
            shown.curves("loss", step, {"loss": step})
        eventually(lambda: len(said) == 2)
        again = visdom_server.start(port, tmp_path / "other")
        for step in range(20, 30):
            shown.curves("loss", step, {"loss": step})
        eventually(lambda: len(line(port, "srmd_a", "loss")[0]) == 30)
        assert line(port, "srmd_a", "loss") == (list(range(30)), list(range(30)))
        assert window(port, "srmd_a", "run")["content"] == "x2"
    visdom_server.stop(again)
    assert ["lost" in text for text in said] == [False, True, False]
    assert said[2] == f"dashboard: back at {shown.url}"
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_restart_that_nobody_noticed_loses_no_window(server, port, tmp_path):
    with open_dashboard("auto", "srmd_a", False, say=str, port=port) as shown:
        shown.text("run", "x2")
        eventually(lambda: window(port, "srmd_a", "run"))
        visdom_server.stop(server)
        again = visdom_server.start(port, tmp_path / "other")
        shown.curves("loss", 1, {"loss": 1.0})
        eventually(lambda: window(port, "srmd_a", "run") and window(port, "srmd_a", "loss"))
    visdom_server.stop(again)


def test_a_server_that_hangs_for_a_while_gets_every_point_once(server, port):
    said = []
    with open_dashboard("auto", "srmd_a", False, say=said.append, port=port) as shown:
        shown.curves("loss", 0, {"loss": 0})
        eventually(lambda: line(port, "srmd_a", "loss")[0] == [0])
        server.send_signal(signal.SIGSTOP)
        shown.curves("loss", 1, {"loss": 1})
        eventually(lambda: len(said) == 2)
        shown.curves("loss", 2, {"loss": 2})
        server.send_signal(signal.SIGCONT)
        eventually(lambda: line(port, "srmd_a", "loss")[0] == [0, 1, 2])
    assert ["lost" in text for text in said] == [False, True, False]


def test_auto_starts_a_server_ends_it_and_its_curves_are_kept(port, tmp_path):
    said = []
    with open_dashboard("auto", "srmd_a", True, say=said.append, port=port, env_path=tmp_path) as shown:
        shown.curves("loss", 1, {"loss": 0.5})
        eventually(lambda: said)
        assert visdom_server.is_running(port)
    assert not visdom_server.is_running(port)
    assert said[-1] == f"dashboard: http://localhost:{port}/env/srmd_a"
    later = visdom_server.start(port, tmp_path)
    try:
        assert line(port, "srmd_a", "loss") == ([1], [0.5])
    finally:
        visdom_server.stop(later)


def test_a_run_that_ends_while_its_server_starts_does_not_wait_for_it(port, tmp_path):
    shown = open_dashboard("auto", "srmd_a", True, say=str, port=port, env_path=tmp_path)
    time.sleep(0.2)
    began = time.monotonic()
    shown.close()
    assert time.monotonic() - began < 1.5
    assert not visdom_server.is_running(port)


def test_auto_that_may_not_start_a_server_is_silent_where_none_runs(port):
    said = []
    with open_dashboard("auto", "srmd_a", False, say=said.append, port=port) as shown:
        shown.curves("loss", 1, {"loss": 0.5})
        time.sleep(0.3)
    assert said == []


def test_an_address_where_nobody_answers_is_one_line(port):
    said = []
    with open_dashboard(f"http://localhost:{port}/", "srmd_a", False, say=said.append) as shown:
        shown.curves("loss", 1, {"loss": 0.5})
        time.sleep(0.5)
    assert len(said) == 1
    assert f"http://localhost:{port}" in said[0]


def test_off_starts_no_thread_and_imports_neither_visdom_nor_torch():
    script = """
import sys, threading, numpy
from srmd.show import dashboard
with dashboard.open_dashboard("off", "srmd_a", True) as shown:
    shown.curves("loss", 1, {"loss": 1.0})
    shown.image("samples", numpy.zeros((2, 2, 3), numpy.uint8))
    shown.text("run", "x2")
    print(threading.active_count(), {"visdom", "torch"} & set(sys.modules), repr(shown.url))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1 set() ''\n", "")


@pytest.mark.parametrize("address", ["on", "8097", "localhost:8097", "http://localhost", "http://h:x", "ftp://h:1"])
def test_an_address_that_is_none_is_an_error_that_names_it(address):
    with pytest.raises(InputError, match=address):
        open_dashboard(address, "srmd_a", True)


def test_the_server_listens_on_loopback_only(shared):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    assert visdom_server.is_running(shared)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, shared), timeout=2)


def test_the_server_is_out_of_reach_of_the_terminals_ctrl_c(server):
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_the_server_ends_with_its_parent_even_by_sigkill(port, tmp_path):
    script = "import sys, time, pathlib; from srmd.show import visdom_server as v; "
    script += "p = v.start(int(sys.argv[1]), pathlib.Path(sys.argv[2])); "
    parent = subprocess.Popen([sys.executable, "-c", script + "time.sleep(60)", str(port), str(tmp_path)], cwd=ROOT)
    eventually(lambda: visdom_server.is_running(port))
    parent.kill()
    parent.wait()
    eventually(lambda: not visdom_server.is_running(port))


def test_what_is_no_visdom_or_hangs_does_not_count_as_running():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        began = time.monotonic()
        assert not visdom_server.is_running(port)
        assert visdom_server.start(port) is None
        assert time.monotonic() - began < 4
    served = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as foreign:

        def answer() -> None:
            connection, _ = foreign.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")
            connection.close()
            served.set()

        threading.Thread(target=answer, daemon=True).start()
        assert not visdom_server.is_running(foreign.getsockname()[1])
        assert served.wait(5)


@pytest.fixture
def without_page_and_network(tmp_path) -> dict[str, str]:
    """The environment of a machine without npm or a network, on which visdom has just been installed."""
    skip = shutil.ignore_patterns("version.built", "*.min.js", "mathjax", "__pycache__")
    shutil.copytree(Path(visdom.__file__).parent, tmp_path / "fresh" / "visdom", ignore=skip)
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    return os.environ | proxies | {"PYTHONPATH": str(tmp_path / "fresh"), "PATH": "/nonexistent"}


def test_fetching_without_npm_says_so_in_one_line_and_is_no_error(without_page_and_network):
    command = [sys.executable, "-m", "srmd.show.visdom_server", "--fetch"]
    done = subprocess.run(command, cwd=ROOT, env=without_page_and_network, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "npm is not installed" in done.stdout
    assert done.stderr == ""


def test_without_scripts_and_network_the_server_runs_and_one_line_says_the_page_is_blank(
    without_page_and_network, port, tmp_path
):
    script = f"""
import sys, time, pathlib
sys.modules["torch"] = None  # as good as not installed: visdom starts sooner
from srmd.show import dashboard
said = []
with dashboard.open_dashboard("auto", "srmd_a", True, said.append, {port}, pathlib.Path({str(tmp_path)!r})) as shown:
    shown.curves("loss", 1, {{"loss": 1.0}})
    deadline = time.monotonic() + 20
    while len(said) < 2 and time.monotonic() < deadline:
        time.sleep(.05)
print(*said, sep="\\n")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=without_page_and_network, capture_output=True, text=True, check=True)
    blank, url = done.stdout.splitlines()
    assert "blank" in blank
    assert url == f"dashboard: http://localhost:{port}/env/srmd_a"
    assert done.stderr == ""
    assert (tmp_path / "srmd_a.json").is_file()


@pytest.mark.slow
def test_a_browser_shows_the_curve_and_the_picture(shared, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    if not visdom_server.page_is_complete():
        pytest.skip("visdom's page scripts are not there (python -m srmd.show.visdom_server --fetch)")
    shown = open_dashboard("auto", "srmd_browser", False, say=str, port=shared)
    for step in range(1, 200):
        shown.curves("loss", step, {"loss": 1 / step})
    shown.curves("PSNR", 100, {"SRMD": 33.1, "bicubic": 30.2})
    ramp = np.tile(np.linspace(0, 255, 480, dtype=np.uint8)[None, :, None], (120, 1, 3))
    shown.image("samples", ramp, "LR | bicubic | SR | HR")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        missing = []
        page.on("requestfailed", lambda request: missing.append(request.url))
        page.goto(shown.url)
        curve = page.wait_for_selector(".scatterlayer .trace path.js-line", timeout=15_000)
        page.wait_for_selector(".scatterlayer .trace path.point", timeout=15_000)
        page.wait_for_function("document.querySelector('img.content-image')?.naturalWidth == 480", timeout=15_000)
        assert curve.get_attribute("d").count("L") > 10
        shown.curves("later", 1, {"loss": 1.0})  # the page follows a run that goes on
        page.wait_for_selector("text=later", timeout=15_000)
        page.screenshot(path=tmp_path / "dashboard.png")
        browser.close()
    shown.close()
    assert missing == []


def test_without_visdom_there_is_no_dashboard_and_one_line_says_so(monkeypatch):
    monkeypatch.setattr(visdom_server.importlib.util, "find_spec", lambda name: None)
    said = []
    with open_dashboard("auto", "srmd_test", start_server=True, say=said.append) as board:
        board.curves("loss", 1, {"loss": 0.5})
    assert said == ["dashboard: none, for visdom is not installed"]


def test_of_many_pictures_the_newest_are_kept(port, tmp_path):
    with open_dashboard(f"http://127.0.0.1:{port}", "srmd_many", False, say=str) as shown:
        for number in range(dashboard.MAX_PICTURES + 1):
            shown.image(f"picture {number}", np.zeros((4, 4, 3), np.uint8))
        server = visdom_server.start(port, tmp_path)  # only now, so that none was sent before
        try:
            eventually(lambda: window(port, "srmd_many", f"picture {dashboard.MAX_PICTURES}"))
            assert window(port, "srmd_many", "picture 1")
            assert not window(port, "srmd_many", "picture 0")
        finally:
            visdom_server.stop(server)


def test_where_the_dashboard_breaks_one_line_says_so_and_the_run_goes_on(shared, monkeypatch):
    def broken(*_: object) -> None:
        raise TypeError("not of this visdom")

    monkeypatch.setattr(dashboard, "_send", broken)
    said = []
    with open_dashboard("auto", "srmd_broken", False, say=said.append, port=shared) as shown:
        shown.text("run", "x2")
        eventually(lambda: len(said) == 2)
        shown.text("run", "x3")
    assert said[1] == "dashboard: off, for it failed (TypeError: not of this visdom)"


def test_auto_starts_no_server_on_a_port_that_something_else_holds():
    said = []
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with open_dashboard("auto", "srmd_a", True, say=said.append, port=port) as shown:
            shown.curves("loss", 1, {"loss": 0.5})
            eventually(lambda: said)
    assert said == [f"dashboard: none, for visdom did not start on port {port} or the port is taken"]


def test_serving_where_a_server_runs_says_so(shared, monkeypatch, capsys):
    monkeypatch.setattr(visdom_server, "PORT", shared)
    monkeypatch.setattr(sys, "argv", ["visdom_server"])
    assert visdom_server.main() == 1
    assert capsys.readouterr().err == f"http://localhost:{shared}: a visdom server is there already\n"
