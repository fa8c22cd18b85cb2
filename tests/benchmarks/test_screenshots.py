"""The screenshots of the documents."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chromium import skip_without_chromium
from patience import wait_longer_for_servers
from picture_files import open_picture
from srmd.cli.demo_steps import Budget
from srmd.show import visdom_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning"),  # inside visdom
]


@pytest.fixture
def screenshots() -> ModuleType:
    """The module; skips a test where there is no browser."""
    skip_without_chromium()
    from benchmarks import screenshots

    return screenshots


def test_the_dashboard_shows_the_windows_of_a_training(
    screenshots: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if not visdom_server.is_installed() or not visdom_server.page_is_complete():
        pytest.skip("visdom or the scripts of its page are missing")
    monkeypatch.setattr(screenshots, "TRAINING", Budget(steps=2, batch_size=1, patch_size=8))
    wait_longer_for_servers(monkeypatch)
    screenshots.dashboard(tmp_path / "dashboard.png")
    picture = np.asarray(open_picture(tmp_path / "dashboard.png").convert("RGB"))
    assert picture.shape == (900, 1300, 3)
    assert (picture == 255).all(2).mean() > 0.2  # the windows are white, the page is blue
    assert (picture[-1] != 255).any(1).mean() > 0.5


def test_the_page_for_restoring_is_shown_with_its_candidates(screenshots: ModuleType, tmp_path: Path):
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("Gradio is not installed (requirements-panel.txt)")
    screenshots.panel(tmp_path / "panel.png")
    picture = np.asarray(open_picture(tmp_path / "panel.png").convert("RGB")).astype(int)
    assert picture.shape[1] == 1000
    candidates = picture[1000:, :600]
    is_coffee = (candidates[..., 0] > candidates[..., 2] + 80) & (candidates[..., 0] > 100)
    assert is_coffee.mean() > 0.2
