"""A browser for the tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.browser import CHROMIUM, launch


def skip_without_chromium() -> None:
    """Skips a test where Chromium or playwright is missing."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")


@contextmanager
def chromium() -> Iterator[object]:
    """A Chromium; skips a test where there is none."""
    skip_without_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = launch(driver)
        yield browser
        browser.close()
