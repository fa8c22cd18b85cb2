"""Atomic file writes and output folders."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.base.files import TEMPORARY_FILES, atomic_write, check_folder, make_folder

with suppress(ImportError):  # Windows has none
    import fcntl


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("all")
        assert not (tmp_path / "a.txt").exists()
        assert temporary.suffix == ".txt"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_temporary_file(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")

    def fail() -> None:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_file_with_the_longest_possible_name_is_written(tmp_path: Path):
    path = tmp_path / ("x" * 251 + ".png")
    with atomic_write(path) as temporary:
        temporary.write_text("all")
    assert path.read_text() == "all"


BEGIN_WRITE = """
import sys, time
from pathlib import Path
from srmd.base.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't lock folders")
def test_temporary_files_of_killed_processes_are_removed_by_the_next_write_and_those_of_others_stay(tmp_path: Path):
    command = [sys.executable, "-c", BEGIN_WRITE, str(tmp_path / "a.png")]
    (tmp_path / f".{'0' * 32}.png").touch()  # not a file of this package
    with subprocess.Popen(command, stdout=subprocess.PIPE) as killed:
        killed.stdout.readline()
        killed.kill()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writing:
        writing.stdout.readline()
        temporary = list(tmp_path.glob(TEMPORARY_FILES))
        with atomic_write(tmp_path / "b.png") as path:
            path.touch()
        left = list(tmp_path.glob(TEMPORARY_FILES))
        writing.kill()
    assert len(temporary) == 1, "the second process has removed the file of the first one"
    assert left == temporary, "the file of a process that writes has been removed"
    with atomic_write(tmp_path / "b.png") as path:
        path.touch()
    assert {path.name for path in tmp_path.iterdir()} == {f".{'0' * 32}.png", "b.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't lock folders")
def test_a_temporary_file_that_can_not_be_removed_does_not_keep_other_processes_waiting(tmp_path: Path):
    (tmp_path / TEMPORARY_FILES.replace("[0-9a-f]", "0").replace("*", "png")).mkdir()
    with atomic_write(tmp_path / "a.png") as path, folder_opened(tmp_path) as descriptor:
        path.touch()
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # raises if it is locked


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't lock folders")
def test_a_folder_that_another_program_holds_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.base.files.LOCK_SECONDS", 0.05)
    with folder_opened(tmp_path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as `flock FOLDER srmd …` does
        for name in ("a.png", "b.png"):
            with atomic_write(tmp_path / name) as path:
                path.touch()
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}


@contextmanager
def folder_opened(folder: Path) -> Iterator[int]:
    """The descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that the user who runs the test may not write to."""
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # root may write everywhere, so the test runs as another user
        os.setresuid(65534, -1, -1)
    yield tmp_path
    if os.geteuid() == 0:
        os.setresuid(0, -1, -1)
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_written_to_is_refused(read_only_folder: Path):
    for path, refuse in ((read_only_folder, make_folder), (read_only_folder / "a" / "b", check_folder)):
        with pytest.raises(InputError, match="expected a folder to write to, found: no permission"):
            refuse(path)


def test_a_folder_is_checked_without_being_created(tmp_path: Path):
    check_folder(tmp_path)
    check_folder(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/sub: expected a folder to write to, found a file at .*file$"):
        check_folder(tmp_path / "file" / "sub")


def test_a_folder_is_created_with_its_parents_or_refused_if_a_file_is_in_the_way(tmp_path: Path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/sub: expected a folder to write to, found a file at .*file$"):
        make_folder(tmp_path / "file" / "sub")
    with pytest.raises(InputError, match=r"file: expected a folder to write to, found a file$"):
        make_folder(tmp_path / "file")


def test_an_error_of_the_disk_names_the_file_and_not_the_temporary_one(tmp_path: Path):
    def fail(error: OSError) -> None:
        with atomic_write(tmp_path / "a.txt"):
            raise error

    with pytest.raises(OSError, match="No space left") as caught:
        fail(OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match=r"other\.txt"):  # an error of another file keeps its name
        fail(FileNotFoundError(errno.ENOENT, "No such file", "other.txt"))
    assert list(tmp_path.iterdir()) == []
