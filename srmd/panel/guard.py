"""Keeps the pages of other sites, and other machines, from the server of the page."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import PurePath

Scope = MutableMapping[str, object]
App = Callable[[Scope, Callable, Callable], Awaitable[None]]

LOOPBACK_NAMES = ("127.0.0.1", "localhost")
# The pages of the server, and how their paths begin; other ones of Gradio, such as its proxy, are not served.
PATHS = ("/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
PREFIXES = (
    *("/assets/", "/static/", "/svelte/", "/download/", "/gradio_api/heartbeat/"),
    *("/gradio_api/queue/", "/gradio_api/upload", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/startup"),
)
FILE_PREFIX = "/gradio_api/file="  # a path follows; if an address follows, Gradio would fetch it and pass it on
HEADERS = (
    # The page may load nothing from elsewhere, and no other page may show it in a frame.
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'",
    ),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NOT_STORED = (b"cache-control", b"no-store")  # of pictures, which the browser would keep on the disk


class Guard:
    """An ASGI application in front of another one, which refuses requests that do not come from its own page.

    A name that another site lets point to this machine (DNS rebinding) is not in LOOPBACK_NAMES. Browsers state in
    `Origin` and `Sec-Fetch-Site` which page sends a request.
    """

    def __init__(self, app: App, port: int, max_bytes: int):
        self._app, self._max_bytes = app, max_bytes
        self._hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """Passes a request on, or answers it with the reason why it is refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no web sockets
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, reason = self.refusal(scope["method"], scope["path"], headers)
        if reason:
            await _answer(send, status, reason)
            return
        is_picture = scope["path"].startswith((FILE_PREFIX, "/download/"))
        await self._app(scope, receive, _with_headers(send, (*HEADERS, NOT_STORED) if is_picture else HEADERS))

    def refusal(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """The status and the reason why a request is refused; the reason is empty if it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return 403, f"expected one of {', '.join(sorted(self._hosts))} as host, found {host!r}"
        if origin is not None and origin not in {f"http://{name}" for name in self._hosts}:
            return 403, f"expected this page as origin, found {origin!r}"
        is_visit = path == "/" and method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_visit:
            return 403, "expected a request of this page, found one of another site"
        if not _is_served(path):
            return 404, "there is no such page"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_bytes:
            return 413, f"expected at most {self._max_bytes / 1e6:.0f} MB"
        return 200, ""


def _is_served(path: str) -> bool:
    if path.startswith(FILE_PREFIX):
        return PurePath(path.removeprefix(FILE_PREFIX)).is_absolute()
    return path == "/" or path in PATHS or path.startswith(PREFIXES)


def _with_headers(send: Callable, headers: tuple[tuple[bytes, bytes], ...]) -> Callable:
    async def send_with_headers(message: MutableMapping) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *headers]
        await send(message)

    return send_with_headers


async def _answer(send: Callable, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
