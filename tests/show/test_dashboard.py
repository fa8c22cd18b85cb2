"""What the dashboard shows on a real visdom server, and in a real browser."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chromium import chromium
from srmd.base.errors import InputError
from srmd.show import dashboard, visdom_server
from srmd.show.dashboard import open_dashboard
from visdom_windows import eventually, line, window

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # inside visdom
# The number of straight parts of the longest curve on the page.
CURVES = "[...document.querySelectorAll('.scatterlayer .trace path.js-line')]"
LONGEST_LINE = f"Math.max(...{CURVES}.map((path) => (path.getAttribute('d') ?? '').split('L').length - 1))"


def test_curves_have_their_names_and_all_points(shared_port):
    with open_dashboard("auto", "srmd_curves", False, log=str, port=shared_port) as board:
        for step in range(1, 301):
            board.curves("PSNR", step, {"SRMD": step / 10})
        board.curves("PSNR", 300, {"bicubic": 29.0})
    content = window(shared_port, "srmd_curves", "PSNR")["content"]
    ours, bicubic = content["data"]
    assert (ours["name"], ours["x"], ours["y"]) == ("SRMD", list(range(1, 301)), [step / 10 for step in range(1, 301)])
    assert (bicubic["name"], bicubic["x"], bicubic["y"]) == ("bicubic", [300], [29.0])
    assert (content["layout"]["title"], content["layout"]["xaxis"]["title"]) == ("PSNR", "step")


def test_a_loss_that_is_not_finite_is_a_gap_in_the_curve(shared_port):
    with open_dashboard("auto", "srmd_gap", False, log=str, port=shared_port) as board:
        for step, value in enumerate((1.0, float("nan"), float("inf"), 2.0)):
            board.curves("loss", step, {"loss": value})
    assert line(shared_port, "srmd_gap", "loss") == ([0, 1, 2, 3], [1.0, None, None, 2.0])


def test_a_window_shows_its_last_picture_or_text(shared_port):
    picture = np.random.default_rng(0).integers(0, 256, (30, 70, 3), np.uint8)
    with open_dashboard("auto", "srmd_pictures", False, log=str, port=shared_port) as board:
        board.image("samples", np.zeros_like(picture), "step 1")
        board.image("samples", picture, "step 2")
        board.text("run", "<b>x2</b>")
    content = window(shared_port, "srmd_pictures", "samples")["content"]
    png = base64.b64decode(content["src"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), picture)
    assert content["caption"] == "step 2"
    assert window(shared_port, "srmd_pictures", "run")["content"] == "<b>x2</b>"


def test_characters_that_visdom_cannot_handle_become_underscores(shared_port):
    with open_dashboard("auto", "srmd_a/b c+d?.json", False, log=str, port=shared_port) as board:
        board.text("run", "here")
    assert board.url == f"http://localhost:{shared_port}/env/srmd_a_b_c_d__json"
    assert window(shared_port, "srmd_a_b_c_d__json", "run")["content"] == "here"


def test_off_starts_no_thread_and_imports_neither_visdom_nor_torch():
    script = """
import sys, threading, numpy
from srmd.show import dashboard
with dashboard.open_dashboard("off", "srmd_a", True) as board:
    board.curves("loss", 1, {"loss": 1.0})
    board.image("samples", numpy.zeros((2, 2, 3), numpy.uint8))
    board.text("run", "x2")
    print(threading.active_count(), {"visdom", "torch"} & set(sys.modules), repr(board.url))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1 set() ''\n", "")


@pytest.mark.parametrize("address", ["on", "8097", "localhost:8097", "http://localhost", "http://h:x", "ftp://h:1"])
def test_an_invalid_address_is_an_error_that_names_it(address):
    with pytest.raises(InputError, match=address):
        open_dashboard(address, "srmd_a", True)


@pytest.mark.slow
def test_a_browser_shows_the_curve_and_the_picture(shared_port, tmp_path):
    if not visdom_server.page_is_complete():
        pytest.skip("visdom's page scripts are missing (python -m srmd.show.visdom_server --fetch)")
    with open_dashboard("auto", "srmd_browser", False, log=str, port=shared_port) as board:
        for step in range(1, 200):
            board.curves("loss", step, {"loss": 1 / step})
        board.curves("PSNR", 100, {"SRMD": 33.1, "bicubic": 30.2})
        ramp = np.tile(np.linspace(0, 255, 480, dtype=np.uint8)[None, :, None], (120, 1, 3))
        board.image("samples", ramp, "LR | bicubic | SR | HR")
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1000, "height": 700})
            page.set_default_timeout(240_000)
            missing = []
            page.on("requestfailed", lambda request: missing.append(request.url))
            page.goto(board.url)
            page.wait_for_function(f"{LONGEST_LINE} > 10")
            page.wait_for_selector(".scatterlayer .trace path.point")
            page.wait_for_function("document.querySelector('img.content-image')?.naturalWidth == 480")
            board.curves("later", 1, {"loss": 1.0})  # the open page shows new windows
            page.wait_for_selector("text=later")
            page.screenshot(path=tmp_path / "dashboard.png")
            assert missing == []


def test_without_visdom_the_dashboard_is_off_and_one_message_is_logged(monkeypatch):
    monkeypatch.setattr(visdom_server.importlib.util, "find_spec", lambda name: None)
    messages = []
    with open_dashboard("auto", "srmd_test", start_server=True, log=messages.append) as board:
        board.curves("loss", 1, {"loss": 0.5})
    assert messages == ["dashboard: off, because visdom is not installed"]


def test_only_the_newest_pictures_are_kept(port, tmp_path):
    with open_dashboard(f"http://127.0.0.1:{port}", "srmd_many", False, log=str) as board:
        for number in range(dashboard.MAX_PICTURES):
            board.image("kernel", np.zeros((4, 4, 3), np.uint8))  # is changed with each of them
            board.image(f"picture {number}", np.zeros((4, 4, 3), np.uint8))
        server = visdom_server.start(port, tmp_path)  # after all pictures, so that none was sent before
        try:
            eventually(lambda: window(port, "srmd_many", f"picture {dashboard.MAX_PICTURES - 1}"))
            assert window(port, "srmd_many", "kernel")
            assert window(port, "srmd_many", "picture 1")
            assert not window(port, "srmd_many", "picture 0")
        finally:
            visdom_server.stop(server)


def test_an_error_in_the_dashboard_turns_it_off_and_does_not_end_the_run(shared_port, monkeypatch):
    def fail(*_: object) -> None:
        raise TypeError("another visdom")

    monkeypatch.setattr(dashboard, "_send", fail)
    messages = []
    with open_dashboard("auto", "srmd_broken", False, log=messages.append, port=shared_port) as board:
        board.text("run", "x2")
        eventually(lambda: len(messages) == 2)
        board.text("run", "x3")
    assert messages[1] == "dashboard: turned off by an error (TypeError: another visdom)"
