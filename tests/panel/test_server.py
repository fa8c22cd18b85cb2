"""The server of the page answers its own page only, and opens no path that a browser sends."""

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from panel_pictures import write_photo
from patience import PATIENCE
from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.server import serve

ROOT = Path(__file__).parents[2]


def get(server: SimpleNamespace, path: str, headers: dict | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    answer = response.status, response.read().decode("utf-8", "replace")
    connection.close()
    return answer


@pytest.mark.slow
def test_other_hosts_and_origins_get_no_page(server):
    assert get(server, "/")[0] == 200
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answer = get(server, "/config", headers)
        assert status == 403
        assert answer.startswith("expected")


@pytest.mark.slow
def test_only_this_machine_can_connect(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells the address of this machine
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but the loopback")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, server.port), timeout=PATIENCE)


@pytest.mark.slow
def test_files_of_this_machine_are_not_served(server):
    for path in ("/etc/passwd", str(server.picture), str(ROOT / "README.md")):
        status, answer = get(server, f"/gradio_api/file={path}")
        assert status in (403, 404)
        assert "root:" not in answer


@pytest.mark.slow
def test_a_path_that_a_browser_sends_is_not_opened(server, tmp_path):
    config = json.loads(get(server, "/config")[1])
    (upload,) = (each for each in config["components"] if each["props"].get("elem_id") == "upload")
    (event,) = (each for each in config["dependencies"] if [upload["id"], "upload"] in each["targets"])
    secret = write_photo(tmp_path / "secret.png")
    values = [{"path": str(secret), "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}]
    values += [None] * (len(event["inputs"]) - 1)
    body = {"data": values, "fn_index": event["id"], "session_hash": "attacker", "event_data": None, "trigger_id": 1}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/gradio_api/queue/join", json.dumps(body), headers)
    joined = connection.getresponse()
    joined.read()
    connection.close()
    assert joined.status == 200
    status, stream = get(server, "/gradio_api/queue/data?session_hash=attacker")
    assert status == 200
    assert "process_completed" in stream
    assert "expected an uploaded picture, found another path" in stream
    assert "120×96" not in stream
    assert secret.exists()


def test_a_port_that_cannot_be_used_is_refused_with_the_reason():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"^port: expected a free port, found {port}: Address already in use$"):
            serve(PanelRequest(port=port), print)


def test_without_gradio_one_line_names_the_command_that_installs_it():
    program = "import sys; sys.modules['gradio'] = None; from srmd.cli.main import main; "
    program += "code = main(['--mode=panel']); sys.exit(code + 100 * ('torch' in sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    expected = '--mode: expected Gradio for panel, found none: install it by pip install "gradio>=6.31,<7"\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)
