"""Requests of other sites and of other names of this machine are refused."""

import pytest

from srmd.panel.guard import Guard

OWN = {"host": "127.0.0.1:7860"}
UPLOAD = "/gradio_api/upload"


@pytest.fixture
def guard() -> Guard:
    return Guard(None, 7860, 1000)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", OWN),
        ("GET", "/", {"host": "localhost:7860", "sec-fetch-site": "none"}),
        ("GET", "/", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),  # a link on another page
        ("POST", UPLOAD, OWN | {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}),
        ("GET", "/download/abc", OWN | {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}),
    ],
)
def test_requests_of_the_own_page_are_passed_on(guard: Guard, method: str, path: str, headers: dict):
    assert guard.refusal(method, path, headers) == (200, "")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 403),
        ("GET", "/", {"host": "evil.example:7860"}, 403),  # a name that points to 127.0.0.1
        ("GET", "/", {"host": "127.0.0.1"}, 403),
        ("POST", UPLOAD, OWN | {"origin": "http://evil.example"}, 403),
        ("POST", UPLOAD, OWN | {"origin": "null"}, 403),
        ("POST", UPLOAD, OWN | {"origin": "http://127.0.0.1:8888"}, 403),  # another server of this machine
        ("POST", UPLOAD, OWN | {"sec-fetch-site": "same-site"}, 403),
        (
            "GET",
            "/gradio_api/file=/tmp/x.png",
            OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
            403,
        ),
        ("GET", "/download/abc", OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ("GET", "/gradio_api/proxy=http://evil.example/", OWN, 404),
        ("POST", "/gradio_api/run/predict", OWN, 404),
        ("POST", "/gradio_api/vibe-edit/", OWN, 404),
        ("GET", "/gradio_api/info", OWN, 404),
        ("POST", UPLOAD, OWN | {"content-length": "1001"}, 413),
        ("POST", UPLOAD, OWN | {"content-length": "-1"}, 413),
    ],
)
def test_other_requests_are_refused(guard: Guard, method: str, path: str, headers: dict, status: int):
    found, reason = guard.refusal(method, path, headers)
    assert found == status
    assert reason
