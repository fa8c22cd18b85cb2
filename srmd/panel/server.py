"""Serves the page on this machine only, until the process is ended."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.folder import private_folder
from srmd.panel.guard import Guard
from srmd.panel.networks import PanelNetworks
from srmd.panel.session import Compute
from srmd.panel.sessions import Sessions

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 7860, 20  # where a free port is searched
MAX_UPLOAD = 128 * 2**20  # bytes
CLOSING_SECONDS = 1  # that open requests get when the server is ended


def serve(request: PanelRequest, announce: Callable[[str], object]) -> None:
    """Serves the page until Ctrl-C or a signal ends the process; then all files of the page are removed.

    `announce` is called with the address of the page once it can be opened.
    Raises InputError if the port can't be used, or if the network can't be read or run.
    """
    with _listening(request.port) as listener, private_folder() as folder:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
        import uvicorn

        port = listener.getsockname()[1]
        sessions = Sessions(Compute(PanelNetworks(request)))
        app = Guard(make_app(sessions, request), port, MAX_UPLOAD)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=CLOSING_SECONDS, ws="none")
        announce(f"http://{HOST}:{port}/")
        uvicorn.Server(config).run(sockets=[listener])


def make_app(sessions: Sessions, request: PanelRequest) -> object:
    """The page and the addresses of its results as an ASGI application."""
    import gradio as gr
    from fastapi import FastAPI, Response
    from fastapi.responses import StreamingResponse
    from gradio import processing_utils

    from srmd.panel.page import SCRIPT, STYLE, build_page, theme

    processing_utils.async_ssrf_protected_download = _refuse_download
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/download/{secret}")
    def download(secret: str) -> Response:
        file = sessions.file(secret)
        if file is None:
            return Response("This result is gone: restore the picture again.", 404, media_type="text/plain")
        disposition = f"attachment; filename*=UTF-8''{quote(file.name)}"
        headers = {"content-disposition": disposition, "content-length": str(file.bytes)}
        return StreamingResponse(file.blocks(), media_type="application/octet-stream", headers=headers)

    return gr.mount_gradio_app(
        app,
        build_page(sessions, request),
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD,
        theme=theme(),
        css=STYLE,
        head=f"<script>const MAX_UPLOAD = {MAX_UPLOAD};\n{SCRIPT}</script>",
    )


async def _refuse_download(address: str, cache_dir: str) -> str:
    """Stands for Gradio's function that fetches a picture if the browser sends its address in place of a file."""
    raise InputError(f"expected an uploaded picture, found the address {address!r}")


@contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """A socket that listens at a port of this machine; without a port at the first free one of several."""
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    for candidate in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen()
        except OSError as error:
            listener.close()
            reason = error.strerror
            continue
        with listener:
            yield listener
            return
    found = f"{port}: {reason}" if port is not None else f"{ports[0]} to {ports[-1]} in use"
    raise InputError(f"expected a free port, found {found}", "port")
