"""Neither the server nor Gradio fetches an address that a request names."""

import asyncio
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.guard import Guard

OWN = {"host": "127.0.0.1:7860"}


@pytest.mark.parametrize("address", ["https://evil.example/a.html", "HTTP://evil.example/", "a.png", ""])
def test_the_address_of_a_shown_picture_is_a_path(address: str):
    guard = Guard(None, 7860, 1000)
    assert guard.refusal("GET", f"/gradio_api/file={address}", OWN)[0] == 404
    assert guard.refusal("GET", "/gradio_api/file=/tmp/srmd-panel-x/a.png", OWN) == (200, "")


@pytest.mark.slow
def test_a_picture_whose_address_is_sent_in_place_of_a_file_is_not_fetched(tmp_path: Path):
    gradio = pytest.importorskip("gradio", reason="Gradio is not installed (requirements-panel.txt)")
    from srmd.panel.networks import PanelNetworks
    from srmd.panel.server import make_app
    from srmd.panel.session import Compute
    from srmd.panel.sessions import Sessions

    request = PanelRequest()
    make_app(Sessions(Compute(PanelNetworks(request)), tmp_path), request)
    with pytest.raises(InputError, match=r"found the address 'https://evil.example/a.png'"):
        asyncio.run(gradio.File().async_move_resource_to_block_cache("https://evil.example/a.png"))
