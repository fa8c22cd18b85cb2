"""How long tests wait before they fail: a busy machine is slow."""

import pytest

from srmd.show import dashboard, visdom_server

PATIENCE = 240  # seconds, for what takes a second or two on an idle machine


def wait_longer_for_servers(patch: pytest.MonkeyPatch) -> None:
    """Lets the dashboard wait for slow visdom servers, so that only those that hang count as such."""
    for name in ("START_SECONDS", "ANSWER_SECONDS"):
        patch.setattr(visdom_server, name, PATIENCE)
    for name in ("POST_TIMEOUT_SECONDS", "CLOSE_TIMEOUT_SECONDS"):
        patch.setattr(dashboard, name, PATIENCE)
