"""Requests of one tab that overlap: the newest one counts."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panel_pictures import photo, write_photo
from patience import PATIENCE
from srmd.base.errors import InputError
from srmd.config import PanelRequest
from srmd.panel.cancel import Cancelled
from srmd.panel.networks import PanelNetworks
from srmd.panel.session import Compute, Session
from srmd.panel.settings import Settings
from srmd.panel.turns import Turns
from srmd.panel.whole import WholeRun


@pytest.fixture
def session(tmp_path: Path) -> Session:
    session = Session(Compute(PanelNetworks(PanelRequest(engine="torch", precision="fp32"))))
    session.load(write_photo(tmp_path / "photo.png"), "photo.png")
    return session


def run_while_waiting(session: Session, work: Callable, meanwhile: Callable) -> list:
    """Calls `work` in a thread, and `meanwhile` while it waits for its turn; what `work` returned or raised."""
    results = []

    def run() -> None:
        try:
            results.append(work())
        except (InputError, Cancelled) as error:
            results.append(error)

    with session._compute.steps.turn():
        thread = threading.Thread(target=run)
        thread.start()
        while not session._compute.steps._waiting:
            time.sleep(0.001)
        meanwhile()
    thread.join()
    return results


def other_picture(session: Session) -> None:
    """Loads a flat picture without waiting for the turn."""
    picture = session.picture
    session.close()
    session.picture = type(picture)("flat.png", picture.picture, np.zeros_like(picture.lr))


def test_an_estimate_that_ends_after_another_picture_was_loaded_is_not_taken_for_that_one(session: Session):
    (old,) = run_while_waiting(session, lambda: session.found(Settings()), lambda: other_picture(session))
    assert session.found(Settings()) is not old


def test_a_picture_that_was_replaced_is_not_restored(session: Session):
    settings = Settings(width=1.0, noise_level=0)
    session.told(settings)
    (error,) = run_while_waiting(session, lambda: session.start(settings), lambda: other_picture(session))
    assert str(error) == "Another picture was chosen meanwhile."
    assert session.run is None


def test_a_preview_is_older_than_one_that_began_later(session: Session):
    old, new = session.begin_preview(), session.begin_preview()
    settings = Settings(width=1.0, noise_level=0)
    with pytest.raises(Cancelled):
        session.preview(settings, old)
    assert session.preview(settings, new) is not None


def test_an_estimate_that_waits_for_a_preview_is_not_computed_for_an_older_one(session: Session):
    number = session.begin_preview()

    def find() -> object:
        return session.found(Settings(), lambda: session.is_newest(number))

    (error,) = run_while_waiting(session, find, session.begin_preview)
    assert isinstance(error, Cancelled)
    assert session._found == {}


def test_others_get_their_turn_between_the_tiles_of_alpha(session: Session, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("srmd.panel.whole.TILE", 12)
    transparent = photo(size=(24, 12))
    transparent.putalpha(Image.linear_gradient("L").resize((24, 12)))
    transparent.save(tmp_path / "a.png")
    session.load(tmp_path / "a.png", "a.png")
    settings = Settings(width=1.0, noise_level=0)
    told = session.told(settings)
    run = WholeRun(session.picture, settings, session._networks.restorer(told.weights), told.degradation)
    turns, done = Turns(), []
    monkeypatch.setattr(turns, "give_way", lambda: done.append(run.done))
    run.start(Turns(), turns)
    assert run.ended.wait(PATIENCE)
    assert (run.error, run.done) == (None, 1)
    assert done == [0.25, 0.5]  # of two passes, alpha is the first


def test_who_gives_way_gets_the_next_turn_after_those_who_wait():
    turns, done = Turns(), []

    def work() -> None:
        with turns.turn():
            done.append("other")

    def started() -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        while not turns._waiting:
            time.sleep(0.001)
        return thread

    with turns.turn():
        thread = started()
        turns.give_way()
        assert done == ["other"]
        done.append("own")
        second = threading.Thread(target=work)
        second.start()
        time.sleep(0.05)
        assert done == ["other", "own"]  # the turn is taken again
    thread.join()
    second.join()
    assert done == ["other", "own", "other"]
