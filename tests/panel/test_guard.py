"""Requests of other sites and of other names of this machine are refused."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

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


def headers_of(path: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that passes the guard."""
    sent = []

    async def app(scope: dict, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b"1")]})

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"Host", b"127.0.0.1:7860")]}
    with ThreadPoolExecutor() as threads:  # the tests in the browser leave an event loop running in this thread
        threads.submit(asyncio.run, Guard(app, 7860, 1000)(scope, None, send)).result()
    return sent[0]["headers"]


@pytest.mark.parametrize(
    ("path", "is_stored"),
    [("/", True), ("/assets/a.js", True), ("/gradio_api/file=/tmp/a.png", False), ("/download/abc", False)],
)
def test_a_browser_keeps_no_picture_on_the_disk(path: str, is_stored: bool):
    headers = headers_of(path)
    assert ((b"cache-control", b"no-store") in headers) is not is_stored
    assert {(b"etag", b"1"), (b"x-frame-options", b"DENY")} <= set(headers)


def test_a_page_may_load_nothing_from_elsewhere_and_be_shown_in_no_frame():
    policy = dict(headers_of("/"))[b"content-security-policy"].decode()
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    own = {"'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}  # no address of another site
    assert set(directives["default-src"].split()) == own
    assert (directives["frame-ancestors"], directives["form-action"]) == ("'none'", "'self'")
    assert set(directives) == {"default-src", "frame-ancestors", "form-action"}
