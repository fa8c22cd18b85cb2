"""Lists of the pictures in folders and their subfolders."""

import os
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.pictures.folders import list_pictures, scan_folder


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, recursive: bool = True) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in scan_folder(folder, recursive).pictures]


def test_subfolders_are_read_only_if_asked_for_and_without_hidden_ones(tmp_path: Path):
    make(tmp_path, "b.png", "sub/a.JPG", "sub/deep/c.webp", ".hidden/d.png", "sub/.e.png", "sub/notes.txt")
    assert found(tmp_path, recursive=False) == ["b.png"]
    assert found(tmp_path) == ["b.png", "sub/a.JPG", "sub/deep/c.webp"]
    assert list_pictures(tmp_path, recursive=True) == [tmp_path / name for name in found(tmp_path)]


def test_folders_and_files_come_in_natural_order(tmp_path: Path):
    make(tmp_path, "set10/1.png", "set2/10.png", "set2/9.png")
    assert found(tmp_path) == ["set2/9.png", "set2/10.png", "set10/1.png"]


def test_other_files_are_counted_by_suffix(tmp_path: Path):
    make(tmp_path, "a.png", "b.heif", "sub/c.heif", "sub/README")
    scan = scan_folder(tmp_path, recursive=True)
    assert scan.others == {".heif": 2, "": 1}
    assert scan.describe_others() == "2 .heif, 1 without a suffix"


def test_a_folder_of_folders_is_described_by_their_number(tmp_path: Path):
    make(tmp_path, "one/a.png", "two/b.png", "notes.txt")
    with pytest.raises(InputError, match=r"expected pictures directly inside it, found 1 \.txt, 2 folders$"):
        list_pictures(tmp_path)
    make(tmp_path / "empty", "sub/.hidden.png")
    with pytest.raises(InputError, match=r"expected pictures inside it or its subfolders, found no file$"):
        list_pictures(tmp_path / "empty", recursive=True)


def test_a_loop_of_links_ends_and_a_folder_is_read_once_under_its_own_path(tmp_path: Path):
    make(tmp_path, "z/a.png")
    (tmp_path / "z" / "up").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "z")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert found(tmp_path) == ["z/a.png"]


def test_a_linked_folder_outside_is_read(tmp_path: Path):
    make(tmp_path, "in/a.png", "outside/b.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    assert found(tmp_path / "in") == ["a.png", "link/b.png"]


def test_a_broken_link_and_a_pipe_with_the_name_of_a_picture_are_found_but_not_listed(tmp_path: Path):
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    make(tmp_path, "a.png")
    assert found(tmp_path) == ["a.png", "broken.png", "pipe.png"]  # to be left out with a reason
    assert list_pictures(tmp_path) == [tmp_path / "a.png"]


def test_excluded_subfolders_are_not_read(tmp_path: Path):
    make(tmp_path, "a.png", "out/b.png", "out/deep/c.png")
    scan = scan_folder(tmp_path, True, lambda folder: folder.name == "out")
    assert scan.pictures == [tmp_path / "a.png"]
    assert scan.excluded == [tmp_path / "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_reported(tmp_path: Path):
    make(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    try:
        scan = scan_folder(tmp_path, recursive=True)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert scan.pictures == [tmp_path / "a.png"]
    assert scan.unreadable == {tmp_path / "closed": "Permission denied"}


def test_names_of_any_bytes_are_listed(tmp_path: Path):
    with open(os.fsencode(tmp_path) + b"/\xff\n.png", "wb"):
        pass
    assert [os.fsencode(path.name) for path in scan_folder(tmp_path).pictures] == [b"\xff\n.png"]


def test_pictures_of_cameras_with_several_lenses_are_found(tmp_path: Path):
    make(tmp_path, "a.mpo", "b.jpg", "c.eps")
    assert found(tmp_path) == ["a.mpo", "b.jpg"]
