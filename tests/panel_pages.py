"""Waiting until the page in the browser has settled."""

import time

from patience import PATIENCE

QUIET_TURNS = 10  # of TURN in which a page sends nothing after its last request has ended
TURN = "new Promise((resolve) => setTimeout(resolve, 100))"  # by the page's clock: a busy machine may stop it


class Traffic:
    """The requests of a page, but those by which the server learns that a tab was closed, which last as long as it.

    Attributes:
        urls: the addresses of all requests so far.
    """

    def __init__(self, page: object):
        self.urls: list[str] = []
        self._open: set[object] = set()
        page.on("request", self._begin)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)

    def _begin(self, request: object) -> None:
        self.urls.append(request.url)
        if "/heartbeat/" not in request.url:
            self._open.add(request)

    def _end(self, request: object) -> None:
        self._open.discard(request)

    @property
    def state(self) -> tuple[int, int]:
        """The numbers of requests that were sent, and that are open."""
        return len(self.urls), len(self._open)


def watch(page: object) -> None:
    """Begins to count the requests of a page; called before it is loaded."""
    page.traffic = Traffic(page)


def wait_for_the_end_of_requests(page: object) -> None:
    """Waits until all requests of the page have ended, and it has sent no other one for a while."""
    quiet, before, end = 0, page.traffic.state, time.monotonic() + PATIENCE
    while quiet < QUIET_TURNS:
        assert time.monotonic() < end, f"requests of the page after {PATIENCE} s: {page.traffic.urls[-5:]}"
        page.evaluate(TURN)
        state = page.traffic.state
        quiet = quiet + 1 if state == before and not state[1] else 0
        before = state
