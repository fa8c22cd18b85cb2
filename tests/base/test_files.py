"""A file is there whole, or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, make_folder


def test_a_file_appears_whole(tmp_path: Path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("all")
        assert not (tmp_path / "a.txt").exists()
        assert temporary.suffix == ".txt"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")

    def fail() -> None:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_the_longest_name_is_written(tmp_path: Path):
    path = tmp_path / ("x" * 251 + ".png")
    with atomic_write(path) as temporary:
        temporary.write_text("all")
    assert path.read_text() == "all"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that whoever runs the test may not write to."""
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # who may all, but asks as someone else
        os.setresuid(65534, -1, -1)
    yield tmp_path
    if os.geteuid() == 0:
        os.setresuid(0, -1, -1)
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_written_to_is_refused(closed: Path):
    with pytest.raises(InputError, match="expected a folder to write to, found: no permission"):
        make_folder(closed)


def test_a_folder_that_cannot_be_made_is_the_askers_to_mend(tmp_path: Path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/sub: expected a folder to write to"):
        make_folder(tmp_path / "file" / "sub")
