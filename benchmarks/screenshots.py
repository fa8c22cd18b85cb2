"""Takes the screenshots of the documents, in Chromium.

    python -m benchmarks.screenshots panel        # img/panel.png: the page for restoring, with a photo and candidates
    python -m benchmarks.screenshots dashboard    # img/dashboard.png: the training of `make demo`, on a visdom server

The first needs the extra `panel`. The second trains for some minutes; it needs the extra `dashboard` and the scripts of
visdom's page (`python -m srmd.show.visdom_server --fetch`).
"""

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.browser import CHROMIUM, free_port, launch
from benchmarks.commands import check_installed, command_parser, one_line_errors
from benchmarks.plans import ROOT
from srmd.base.errors import InputError
from srmd.base.files import atomic_write, check_is_file
from srmd.cli import main
from srmd.cli.demo_steps import Budget, Demo
from srmd.degradation import degrade_picture
from srmd.pictures.photos import builtin_test_pictures
from srmd.show import visdom_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIMEOUT = 300_000  # milliseconds for a result on the page
PANEL_SIZE, DASHBOARD_SIZE = (1400, 1000), (1300, 900)  # width and height of the window
PANEL_WIDTH = 1000  # pixels, of the picture that the screenshot is reduced to
PHOTO, PHOTO_SIZE, BLUR, NOISE_LEVEL, QUALITY = "coffee", (480, 320), "gaussian:0.8", 4, 92  # restored on the panel
CANDIDATES = 12  # on the panel
TRAINING = Budget()  # shown on the dashboard
CURVES, PICTURES = 5, 2  # on the dashboard
ALL_LOADED = "[...document.images].every(picture => picture.complete && picture.naturalWidth > 0)"


@contextmanager
def open_page(size: tuple[int, int]) -> Iterator["Page"]:
    """A tab of a new Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = launch(driver)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(TIMEOUT)
        yield page
        browser.close()


def save(screenshot: bytes, output: Path, width: int) -> None:
    """Writes a screenshot in this width and with 256 colours, which makes the file small."""
    with Image.open(io.BytesIO(screenshot)) as picture, atomic_write(output) as temporary:
        size = width, round(width * picture.height / picture.width)
        reduced = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        reduced.quantize(256, dither=Image.Dither.NONE).save(temporary, "PNG", optimize=True)


@contextmanager
def panel_server(picture: Path) -> Iterator[str]:
    """A server of the page for restoring, which starts with a picture; gives its address."""
    command = [sys.executable, "main.py", "--mode=panel", str(picture)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if not address:
                raise InputError(f"--mode=panel: expected the address of the page, found {line.strip()!r}")
            yield address[0]
        finally:
            process.terminate()


def panel(output: Path) -> None:
    """The page with what was found in a JPEG, a crop of it, and candidates."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, f"{PHOTO}.jpg")
        photo = Image.fromarray(builtin_test_pictures()[PHOTO]).resize(PHOTO_SIZE, Image.Resampling.LANCZOS)
        blurred = degrade_picture(np.asarray(photo), BLUR, NOISE_LEVEL, scale=1)
        Image.fromarray(blurred).save(picture, quality=QUALITY)
        with panel_server(picture) as address, open_page(PANEL_SIZE) as page:
            page.goto(address)
            page.wait_for_selector("#comparison img")
            page.click("#show-candidates")
            page.locator("#candidates .thumbnail-item").nth(CANDIDATES - 1).wait_for()
            page.mouse.move(0, 0)  # off the button, which has another colour beneath the pointer
            page.wait_for_function(ALL_LOADED)
            save(page.screenshot(full_page=True), output, PANEL_WIDTH)


def dashboard(output: Path) -> None:
    """The dashboard after the training of the demo."""
    if not visdom_server.page_is_complete():
        raise InputError("visdom: scripts of its page are missing; `python -m srmd.show.visdom_server --fetch`")
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder, "results"), Path(folder, "demo"), TRAINING)
        port = free_port()
        server = visdom_server.start(port, Path(folder))
        if not server:
            raise InputError(f"visdom: expected a server at port {port}, found that it did not start")
        try:
            training, _ = demo.steps()[-1].commands
            if main.main([*training, f"--visdom=http://localhost:{port}"]) != 0:
                raise SystemExit(1)
            with open_page(DASHBOARD_SIZE) as page:
                page.goto(f"http://localhost:{port}/env/srmd_{demo.run.name}")
                page.locator(".scatterlayer .trace").nth(CURVES - 1).wait_for()
                page.locator("img.content-image").nth(PICTURES - 1).wait_for()
                page.wait_for_function(ALL_LOADED)
                save(page.screenshot(), output, DASHBOARD_SIZE[0])
        finally:
            visdom_server.stop(server)


SCREENSHOTS: dict[str, Callable[[Path], None]] = {"panel": panel, "dashboard": dashboard}

if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("name", choices=SCREENSHOTS, help="the screenshot")
    name = parser.parse_args().name
    with one_line_errors():
        check_installed("playwright", "-r requirements.txt")
        check_is_file(CHROMIUM)
        SCREENSHOTS[name](ROOT / "img" / f"{name}.png")
