"""Some hundred damaged files of every format: the readers return or raise InputError; `make fuzz` runs 30,000."""

import os
import sys
from pathlib import Path

import pytest

from fuzz import run
from fuzz.readers import READERS

CASES = 300

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits of the child processes are those of Linux")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory):
    return run.Corpus(tmp_path_factory.mktemp("fuzz") / "seeds")


def test_damaged_files_give_input_errors_only(corpus):
    assert dict(run.run_cases(corpus, range(CASES))) == {}


def test_the_valid_files_are_read(corpus):
    for path in corpus.files:
        READERS[path.parent.name](path)


def test_faults_are_found(corpus, monkeypatch: pytest.MonkeyPatch):
    def fail(path: Path) -> None:
        if path.suffix == ".png":
            raise KeyError(path.name)
        if path.suffix == ".gif":
            os.abort()

    monkeypatch.setitem(run.READERS, "labels", fail)
    first = next(number for number, path in enumerate(corpus.files) if path.parent.name == "labels")
    faults = dict(run.run_cases(corpus, range(first, first + 2)))
    assert faults.keys() == {first, first + 1}
    assert faults[first] == "the reader ended with status -6"
    assert faults[first + 1].startswith("KeyError")
