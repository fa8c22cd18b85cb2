"""Gradio fetches no address that a request names, and refuses requests above the number that may wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from srmd.panel.guard import Guard

ROOT = Path(__file__).parents[2]
OWN = {"host": "127.0.0.1:7860"}
# In a process of its own, because Gradio leaves sockets open.
PROGRAM = """
import asyncio
import gradio
from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.networks import PanelNetworks
from srmd.panel.server import make_app
from srmd.panel.session import Compute
from srmd.panel.sessions import Sessions

request = PanelRequest()
make_app(Sessions(Compute(PanelNetworks(request))), request)
try:
    asyncio.run(gradio.File().async_move_resource_to_block_cache("https://evil.example/a.png"))
except InputError as error:
    print(error)
"""
QUEUE_PROGRAM = """
from starlette.testclient import TestClient
from srmd.config import PanelRequest
from srmd.panel import page
from srmd.panel.networks import PanelNetworks
from srmd.panel.server import make_app
from srmd.panel.session import Compute
from srmd.panel.sessions import Sessions

page.MAX_WAITING = 3
request = PanelRequest()
client = TestClient(make_app(Sessions(Compute(PanelNetworks(request))), request))  # starts no work: all requests wait
config = client.get("/config").json()
event = next(each for each in config["dependencies"] if each["inputs"])
body = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "a", "trigger_id": 1}
print([client.post("/gradio_api/queue/join", json=body).status_code for _ in range(5)])
"""


def run_program(program: str) -> str:
    """What a Python program prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("address", ["https://evil.example/a.html", "HTTP://evil.example/", "a.png", ""])
def test_the_address_of_a_shown_picture_is_a_path(address: str):
    guard = Guard(None, 7860, 1000)
    assert guard.refusal("GET", f"/gradio_api/file={address}", OWN)[0] == 404
    assert guard.refusal("GET", "/gradio_api/file=/tmp/srmd-panel-x/a.png", OWN) == (200, "")


@pytest.mark.slow
def test_a_picture_whose_address_is_sent_in_place_of_a_file_is_not_fetched():
    pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    assert run_program(PROGRAM) == "expected an uploaded picture, found the address 'https://evil.example/a.png'\n"


@pytest.mark.slow
def test_requests_above_the_number_that_may_wait_are_refused():
    pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    assert run_program(QUEUE_PROGRAM) == "[200, 200, 200, 503, 503]\n"
