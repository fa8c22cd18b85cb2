"""Opening training data: packs, folders and the built-in set."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from small_packs import damage, folder_of, packed, random_picture
from srmd.base.errors import InputError
from srmd.config import PackOptions
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[2]


def test_a_folder_is_packed_once_and_again_when_it_changed(tmp_path, caplog):
    caplog.set_level(logging.INFO, "srmd")
    folder, cache = folder_of(tmp_path / "pictures", (20, 20)), tmp_path / "data"

    def was_packed() -> bool:
        with open_training_data(folder, cache) as pictures:
            assert len(pictures) == len(list(folder.glob("*.png")))
        assert len(list(cache.iterdir())) == 1  # the outdated pack is gone
        messages = caplog.text
        caplog.clear()
        return "packed" in messages

    assert was_packed()
    assert not was_packed()
    folder_of(folder, (20, 20), (30, 30))
    assert was_packed()
    os.utime(folder / "1.png", (1, 1))
    assert was_packed()
    (folder / "2.png").unlink()
    assert was_packed()
    assert not was_packed()


def test_packs_of_two_folders_are_kept_beside_each_other(tmp_path):
    for name in ("a", "b"):
        open_training_data(folder_of(tmp_path / name, (20, 20)), tmp_path / "data").close()
    assert len(list((tmp_path / "data").iterdir())) == 2


def test_two_processes_can_pack_one_folder_at_once_without_torch(tmp_path):
    folder = folder_of(tmp_path / "pictures", *[(200, 300)] * 10)
    script = "import sys; from pathlib import Path; from srmd.packs.training_data import open_training_data\n"
    script += "folder, cache = map(Path, sys.argv[1:])\n"
    script += "print(len(set(open_training_data(folder, cache).names)), 'torch' in sys.modules)"
    command = [sys.executable, "-c", script, str(folder), str(tmp_path / "data")]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].splitlines()[-1] for process in processes] == ["10 False"] * 2
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_training_data_can_be_a_pack(tmp_path):
    packed(tmp_path, (20, 20)).close()
    assert open_training_data(tmp_path / "pack.h5", tmp_path / "data").names == ["1.png"]
    assert not (tmp_path / "data").exists()


def test_bad_training_data_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    for name in ("none", "empty", "a.txt"):
        with pytest.raises(InputError, match=name):
            open_training_data(tmp_path / name, tmp_path / "data")
    with pytest.raises(InputError, match=r"none: expected a folder of pictures or a packed \.h5 file, found neither"):
        open_training_data(tmp_path / "none", tmp_path / "data")


@pytest.fixture(scope="module")
def builtin(tmp_path_factory) -> PackedPictures:
    return open_training_data(None, tmp_path_factory.mktemp("data"))


@pytest.mark.slow
def test_the_builtin_set_has_12_photos_and_24_dead_leaves(builtin):
    leaves = [name for name in builtin.names if name.startswith("dead_leaves")]
    assert len(leaves) == len(set(leaves)) == 24
    assert len(set(builtin.names) - set(leaves)) == 12
    assert builtin.count_large_enough(256) >= 34


@pytest.mark.slow
def test_the_builtin_set_is_packed_once(builtin, caplog):
    caplog.set_level(logging.INFO, "srmd")
    with open_training_data(None, builtin.path.parent) as again:
        assert again.names == builtin.names
    assert caplog.text == ""


@pytest.mark.slow
def test_the_validation_pictures_of_the_builtin_set_are_photos(builtin):
    assert builtin.split()[1].names == ["camera", "coins", "page"]


@pytest.mark.slow
def test_test_photos_are_in_colour_and_not_in_the_training_set(builtin):
    photos = builtin_test_pictures()
    assert {name: photo.shape for name, photo in photos.items()} == {
        "astronaut": (512, 512, 3),
        "chelsea": (300, 451, 3),
        "coffee": (400, 600, 3),
    }
    assert not set(photos) & set(builtin.names)
    assert all(photo.dtype == np.uint8 for photo in photos.values())


def write_version_1(path: Path, *sizes: tuple[int, int]) -> None:
    """Write a pack as versions up to 0.5.0 did: one dataset for each picture."""
    with h5py.File(path, "w") as file:
        file.attrs.update(format="srmd pictures", version=1)
        for number, size in enumerate(sizes):
            data = random_picture(*size, seed=number)
            file.create_dataset(f"pictures/{number:06d}", data=data, chunks=True).attrs["name"] = f"{number}.png"


def test_a_pack_of_version_1_is_packed_again_once_and_gives_the_same_crops(tmp_path: Path, caplog):
    caplog.set_level(logging.INFO, "srmd")
    write_version_1(tmp_path / "old.h5", (400, 300), (70, 80))
    with open_training_data(tmp_path / "old.h5", tmp_path / "data") as pictures:
        assert pictures.names == ["0.png", "1.png"]
        for number, size in enumerate([(400, 300), (70, 80)]):
            np.testing.assert_array_equal(pictures.picture(number), random_picture(*size, seed=number))
    (record,) = caplog.records
    assert "old.h5 is a pack of version 1; it is packed again into" in record.message
    caplog.clear()
    open_training_data(tmp_path / "old.h5", tmp_path / "data").close()
    assert caplog.text == ""
    assert h5py.is_hdf5(tmp_path / "old.h5")


def test_a_changed_pack_of_version_1_is_packed_again(tmp_path: Path):
    for size in ((20, 20), (30, 30)):
        write_version_1(tmp_path / "old.h5", size)
        with open_training_data(tmp_path / "old.h5", tmp_path / "data") as pictures:
            assert pictures.sizes.tolist() == [list(size)]
    assert len(list((tmp_path / "data").iterdir())) == 1


@pytest.mark.parametrize("content", [None, np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8)])
def test_a_pack_of_version_1_without_pictures_is_refused(tmp_path: Path, content: np.ndarray | None):
    write_version_1(tmp_path / "old.h5")
    if content is not None:
        with h5py.File(tmp_path / "old.h5", "a") as file:
            file["pictures/000000"] = content
    with pytest.raises(InputError, match=r"old\.h5: expected pictures, \(height, width, 3\) of 8 bits"):
        open_training_data(tmp_path / "old.h5", tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())


def test_the_pack_of_a_folder_by_an_older_version_is_replaced(tmp_path: Path):
    folder, cache = folder_of(tmp_path / "pictures", (20, 20)), tmp_path / "data"
    open_training_data(folder, cache).close()
    (current,) = cache.iterdir()
    name = "-".join(current.stem.split("-")[:2])
    (cache / f"{name}-0123456789ab.h5").touch()
    open_training_data(folder, cache).close()
    assert list(cache.iterdir()) == [current]


def test_a_damaged_pack_of_a_folder_is_made_again(tmp_path: Path, caplog):
    folder, cache = folder_of(tmp_path / "pictures", (20, 20)), tmp_path / "data"
    open_training_data(folder, cache).close()
    (packed_file,) = cache.iterdir()
    os.truncate(packed_file, 1000)
    with open_training_data(folder, cache) as pictures:
        assert pictures.names == ["1.png"]
    assert "damaged HDF5 file or another format; it is made again" in caplog.text


def test_packs_of_one_folder_with_other_options_are_kept_beside_each_other(tmp_path: Path):
    folder, cache = folder_of(tmp_path / "pictures", (300, 300)), tmp_path / "data"
    for options, count in ((PackOptions(), 3), (PackOptions((1.0,)), 1), (PackOptions(recursive=True), 3)):
        with open_training_data(folder, cache, options=options) as pictures:
            assert len(pictures) == count
    assert len(list(cache.iterdir())) == 3


def test_a_picture_in_a_subfolder_that_changes_is_packed_again(tmp_path: Path):
    folder, cache, options = folder_of(tmp_path / "pictures", (20, 20)), tmp_path / "data", PackOptions(recursive=True)
    folder_of(folder / "birds", (20, 20))
    identities = []
    for change in (lambda: None, lambda: folder_of(folder / "birds", (30, 20))):
        change()
        with open_training_data(folder, cache, options=options) as pictures:
            assert pictures.names == ["1.png", "birds/1.png"]
            identities.append(pictures.identity)
    assert identities[0] != identities[1]
    assert len(list(cache.iterdir())) == 1


def test_damaged_pixels_of_a_folder_name_the_pack_and_the_folder(tmp_path: Path):
    folder, cache = folder_of(tmp_path / "pictures", (20, 20)), tmp_path / "data"
    with open_training_data(folder, cache) as pictures:
        damage(pictures.path, pictures.picture(0))
        with pytest.raises(InputError, match=r"folder-.*\.h5: .* \(without this file, .*pictures is packed again\)"):
            pictures.picture(0)
