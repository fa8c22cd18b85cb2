"""The flags of the page in the browser, and their request."""

import importlib.util
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.base.files import check_is_file
from srmd.cli.flag import Flag
from srmd.cli.values import whole
from srmd.config import STANDARD_STREAM, PanelRequest

PANEL_GROUPS = {
    "Page in the browser": (
        Flag(
            "port",
            ("panel",),
            "port on this machine (127.0.0.1) at which the page is served",
            {"type": whole(1, 65535), "metavar": "N"},
        ),
    ),
}


def panel_request(values: dict) -> PanelRequest:
    """The request of `--mode=panel`.

    Raises InputError if there are several pictures, or one that is no file, or P without the network it belongs to.
    """
    if "pca" in values and "weights" not in values:
        raise InputError("expected --weights with it, the network that P belongs to, found none", "pca")
    return PanelRequest(**values | {"input": _picture(values.get("input", []))})


def check_gradio() -> None:
    """Raises InputError, which names the command that installs Gradio, if it is missing."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError('expected Gradio for panel, found none: install it by pip install "gradio>=6.31,<7"', "mode")


def _picture(paths: list[Path]) -> Path | None:
    if len(paths) > 1:
        raise InputError(f"expected one picture, found {len(paths)}; the page takes others", "input")
    if paths == [STANDARD_STREAM]:
        raise InputError("expected the path of a picture, found -", "input")
    with prefix_errors("input"):
        for path in paths:
            check_is_file(path, "a picture")
    return paths[0] if paths else None
