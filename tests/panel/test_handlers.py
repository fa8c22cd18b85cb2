"""What the page does if a whole picture cannot be restored or its file cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from panel_pictures import photo

ROOT = Path(__file__).parents[2]
# In a process of its own, because Gradio leaves sockets open. Prints what the handler leaves on the page.
PROGRAM = """
import sys
from pathlib import Path

import gradio

from srmd.base.errors import InputError
from srmd.config import AUTO, PanelRequest
from srmd.panel.handlers import Handlers
from srmd.panel.layout import make_controls
from srmd.panel.networks import PanelNetworks
from srmd.panel.session import Compute
from srmd.panel.sessions import Sessions
from srmd.panel.whole import WholeRun

picture, file_format, failure = Path(sys.argv[1]), *sys.argv[2:]
if failure:
    def fail(*_):
        raise RuntimeError(failure)
    WholeRun._restore = fail
request = PanelRequest(engine="torch", precision="fp32")
sessions = Sessions(Compute(PanelNetworks(request)))
with gradio.Blocks():
    controls = make_controls(sessions.networks)
sessions.session("tab").load(picture, picture.name)
settings = (2, 1.2, 1.2, 0, 3, False, False, False, False, AUTO, 75)  # scale, numbers, whether they are auto, JPEG
shown = {}
try:
    for updates in Handlers(controls, sessions, request).restore(*settings, file_format, 90, tab="tab"):
        shown |= updates
except InputError as error:
    print(error)
print(shown[controls.restore]["interactive"], shown[controls.cancel]["interactive"], shown[controls.progress] or "-")
"""


def run_handler(picture: Path, file_format: str, failure: str = "") -> list[str]:
    """The lines that PROGRAM prints."""
    pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-c", PROGRAM, str(picture), file_format, failure]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
def test_after_a_file_that_its_format_cannot_hold_the_picture_can_be_restored_again(tmp_path: Path):
    photo(size=(8200, 2)).save(tmp_path / "wide.png")
    error, buttons = run_handler(tmp_path / "wide.png", "webp")
    assert error == "expected sides of up to 16383 pixels in WEBP, found 16400×4"
    assert buttons == "True False -"


@pytest.mark.slow
def test_the_reason_of_a_failure_names_flags(tmp_path: Path):
    photo(size=(16, 16)).save(tmp_path / "photo.png")
    (line,) = run_handler(tmp_path / "photo.png", "png", "its weights are too large for `precision=fp16`")
    assert "It failed: its weights are too large for --precision=fp16<" in line
