"""The sessions of several tabs: their number and memory are bounded, and each upload is opened once."""

from pathlib import Path

import pytest

from panel_pictures import SIZE, write_photo
from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.networks import PanelNetworks
from srmd.panel.session import Compute
from srmd.panel.sessions import MAX_SESSIONS, Sessions

PICTURE = SIZE[0] * SIZE[1] * 3  # bytes


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(Compute(PanelNetworks(PanelRequest())))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_photo(tmp_path / "photo.png")


def load(sessions: Sessions, tab: str, photo: Path) -> None:
    sessions.session(tab).load(photo, photo.name)
    sessions.bound(tab)


def tabs_with_a_picture(sessions: Sessions) -> list[str]:
    return [tab for tab, session in sessions._sessions.items() if session.picture is not None]


def test_tabs_above_a_number_are_closed_in_the_order_of_their_last_use(sessions: Sessions, photo: Path):
    tabs = [f"tab {number}" for number in range(MAX_SESSIONS)]
    for tab in tabs:
        load(sessions, tab, photo)
    first, second = sessions.session(tabs[0]), sessions._sessions[tabs[1]]
    load(sessions, "another", photo)
    assert tabs_with_a_picture(sessions) == [*tabs[2:], tabs[0], "another"]
    assert second.picture is None
    assert sessions.session(tabs[0]) is first


def test_a_tab_without_a_picture_closes_no_other_one(sessions: Sessions, photo: Path):
    tabs = [f"tab {number}" for number in range(MAX_SESSIONS)]
    for tab in tabs:
        load(sessions, tab, photo)
    empty = sessions.session("empty")
    sessions.session(tabs[0])
    assert len(tabs_with_a_picture(sessions)) == MAX_SESSIONS
    load(sessions, "another", photo)
    assert sessions.session("empty") is empty


def test_tabs_are_closed_when_their_memory_is_too_large(
    sessions: Sessions, photo: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("srmd.panel.sessions.MAX_BYTES", 2 * PICTURE)
    for tab in ("first", "second"):
        load(sessions, tab, photo)
    assert tabs_with_a_picture(sessions) == ["first", "second"]
    load(sessions, "third", photo)
    assert tabs_with_a_picture(sessions) == ["second", "third"]
    monkeypatch.setattr("srmd.panel.sessions.MAX_BYTES", 1)
    sessions.session("third")
    assert tabs_with_a_picture(sessions) == ["third"]  # the tab that is used stays


def test_a_file_is_opened_once_and_only_if_it_was_uploaded(sessions: Sessions, photo: Path):
    sessions.uploads.add(str(photo))
    assert sessions.uploaded({"path": str(photo)}) == photo
    for path in (str(photo), f"{photo.parent}/../{photo.parent.name}/{photo.name}", "/etc/passwd", 5, ["a"], None):
        with pytest.raises(InputError, match="expected an uploaded picture"):
            sessions.uploaded({"path": path})
    with pytest.raises(InputError, match="expected an uploaded picture"):
        sessions.uploaded(str(photo))
