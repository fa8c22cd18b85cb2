"""Packing, random crops and the built-in set."""

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from packs import folder_of, packed, random_picture
from srmd import data_loader
from srmd.base.errors import InputError, Stopped
from srmd.data_loader import PACK_FORMAT, PACK_VERSION, PackedPictures, open_training_data, pack
from srmd.pictures.dihedral import VIEWS, turn_array
from srmd.pictures.files import read_picture
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import Picture

ROOT = Path(__file__).parent.parent


def coordinates(height: int, width: int, number: int) -> Image.Image:
    """A picture whose pixels hold their row, their column and the picture's number."""
    return Image.fromarray(np.stack([*np.mgrid[:height, :width], np.full((height, width), number)], 2).astype(np.uint8))


def test_a_pack_holds_every_pixel_and_name_in_natural_order(tmp_path):
    sizes = [(150 + number, 140) for number in range(12)]
    with packed(tmp_path, *sizes) as pictures:
        assert len(pictures) == 12
        assert pictures.names == [f"{number}.png" for number in range(1, 13)]
        np.testing.assert_array_equal(pictures.sizes, sizes)
        for index in range(12):
            np.testing.assert_array_equal(pictures.picture(index), random_picture(*sizes[index], seed=index + 1))


def test_pictures_are_stored_in_chunks(tmp_path):
    packed(tmp_path, (300, 400), (20, 30)).close()
    with h5py.File(tmp_path / "pack.h5") as file:
        assert [dataset.chunks for dataset in file["pictures"].values()] == [(128, 128, 3), (20, 30, 3)]


def test_grey_16_bit_transparent_and_rotated_pictures_are_packed_as_8_bit_rgb(tmp_path):
    folder = folder_of(tmp_path / "pictures")
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(folder / "1.png")
    Image.fromarray(np.full((8, 8), 90 * 257 + 128, np.uint16)).save(folder / "2.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 51)).save(folder / "3.png")
    exif = Image.Exif()
    exif[274] = 6  # the orientation: rotated by 90°
    Image.new("RGB", (8, 4), (10, 20, 30)).save(folder / "4.png", exif=exif)
    pack(folder, tmp_path / "pack.h5")
    with PackedPictures(tmp_path / "pack.h5") as pictures:
        assert [pictures.picture(index)[0, 0].tolist() for index in range(3)] == [[90] * 3, [90] * 3, [204] * 3]
        assert pictures.sizes[3].tolist() == [8, 4]


def test_a_broken_picture_is_left_out_and_counted_with_a_warning(tmp_path, caplog):
    folder = folder_of(tmp_path / "pictures", (100, 200), (100, 300))
    whole = (folder / "1.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    summary = pack(folder, tmp_path / "pack.h5")
    assert (summary.packed, summary.megapixels) == (2, 0.05)
    assert [name for name, _ in summary.left_out] == ["broken.png"]
    assert summary.bytes == (tmp_path / "pack.h5").stat().st_size
    assert "broken.png" in caplog.text
    assert str(summary).startswith("packed 2 pictures into ")
    assert str(summary).endswith("left out 1 broken")


def test_a_folder_of_broken_pictures_leaves_no_file(tmp_path):
    folder = folder_of(tmp_path / "pictures")
    (folder / "a.png").write_bytes(b"no picture")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="at least one picture that can be read, found 1 broken"):
        pack(folder, tmp_path / "out" / "pack.h5")
    assert not list((tmp_path / "out").iterdir())


def test_packing_into_a_folder_instead_of_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="found a folder"):
        pack(folder_of(tmp_path / "pictures", (8, 8)), tmp_path)


def test_a_missing_pack_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: .*no such file"):
        PackedPictures(tmp_path / "none.h5")


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("hello")
    with pytest.raises(InputError, match=r"a\.h5: .*damaged HDF5 file or another format"):
        PackedPictures(tmp_path / "a.h5")


def test_a_truncated_pack_is_refused(tmp_path):
    packed(tmp_path, (100, 100)).close()
    whole = (tmp_path / "pack.h5").read_bytes()
    (tmp_path / "pack.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged HDF5 file or another format"):
        PackedPictures(tmp_path / "pack.h5")


def test_an_hdf5_file_that_is_not_a_pack_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["pictures"] = np.zeros((3, 8, 8, 3), np.uint8)
        file.attrs["format"] = np.arange(3)
    with pytest.raises(InputError, match=r"a\.h5: expected a pack"):
        PackedPictures(tmp_path / "a.h5")


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_a_pack_with_an_array_of_another_type_beside_its_pictures_is_refused(tmp_path, dtype):
    packed(tmp_path, (9, 9)).close()
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        file["pictures/000001"] = np.zeros((9, 9, 3), dtype)
    with pytest.raises(InputError, match=r"pack\.h5: expected pictures, \(height, width, 3\) of 8 bits"):
        PackedPictures(tmp_path / "pack.h5")


@pytest.mark.parametrize("shape", [None, "group", "nothing", (8, 8), (8, 8, 4), (2, 8, 8, 3)])
def test_a_pack_without_pictures_is_refused(tmp_path, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(format=PACK_FORMAT, version=PACK_VERSION)
        group = file.create_group("pictures")
        if shape == "group":
            group.create_group("000000")
        elif shape:
            group["000000"] = h5py.Empty(np.uint8) if shape == "nothing" else np.zeros(shape, np.uint8)
    with pytest.raises(InputError, match=r"a\.h5: expected pictures"):
        PackedPictures(tmp_path / "a.h5")


def test_crops_have_the_size_and_type_asked_for(tmp_path):
    crops = packed(tmp_path, (150, 170)).sample(np.random.default_rng(0), 5, 104)
    assert crops.shape == (5, 104, 104, 3)
    assert crops.dtype == np.uint8


def test_crops_as_large_as_the_picture_are_its_8_views(tmp_path):
    pictures = packed(tmp_path, (9, 9))
    crops = pictures.sample(np.random.default_rng(0), 200, 9)
    views = {turn_array(pictures.picture(0), view).tobytes() for view in range(VIEWS)}
    assert {crop.tobytes() for crop in crops} == views


def test_the_same_generator_gives_the_same_crops(tmp_path):
    pictures = packed(tmp_path, (40, 50), (60, 30))
    first, second = (pictures.sample(np.random.default_rng(7), 20, 16) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (pictures.sample(np.random.default_rng(8), 20, 16) != first).any()


def test_crops_depend_on_the_state_of_the_generator_only(tmp_path):
    pictures = packed(tmp_path, (40, 50))
    rng = np.random.default_rng(7)
    pictures.sample(rng, 3, 16)
    state = rng.bit_generator.state
    expected = pictures.sample(rng, 3, 16)
    rng.bit_generator.state = state
    np.testing.assert_array_equal(pictures.sample(rng, 3, 16), expected)


def test_every_view_of_every_position_in_every_picture_is_equally_likely(tmp_path):
    folder = folder_of(tmp_path / "pictures")
    for number, (height, width) in enumerate([(10, 12), (9, 8), (7, 90)]):  # 3×5, 2×1 and no positions of 8×8 crops
        coordinates(height, width, number).save(folder / f"{number}.png")
    pack(folder, tmp_path / "pack.h5")
    with PackedPictures(tmp_path / "pack.h5") as pictures:
        crops = pictures.sample(np.random.default_rng(0), 20_000, 8)
    counts = np.array(list(Counter(crop.tobytes() for crop in crops).values()))
    possible_crops = (3 * 5 + 2) * 8
    assert len(counts) == possible_crops
    expected = 20_000 / possible_crops
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < possible_crops + 3 * np.sqrt(2 * possible_crops)


def test_the_parts_of_a_split_are_disjoint_complete_and_always_the_same(tmp_path):
    pictures = packed(tmp_path, *[(16, 16)] * 25)
    training, validation = pictures.split()
    assert len(validation) == 2
    assert not set(training.names) & set(validation.names)
    assert set(training.names) | set(validation.names) == set(pictures.names)
    assert pictures.split()[1].names == validation.names
    np.testing.assert_array_equal(validation.picture(0), random_picture(16, 16, seed=int(validation.names[0][:-4])))


@pytest.mark.parametrize(("count", "validation_count"), [(2, 1), (19, 1), (20, 2), (100, 8)])
def test_one_picture_in_ten_but_at_most_eight_are_for_validation(tmp_path, count, validation_count):
    training, validation = packed(tmp_path, *[(4, 4)] * count).split()
    assert (len(training), len(validation)) == (count - validation_count, validation_count)


def test_a_single_picture_serves_training_and_validation(tmp_path):
    training, validation = packed(tmp_path, (16, 16)).split()
    assert training.names == validation.names == ["1.png"]


def test_crops_larger_than_all_pictures_are_refused(tmp_path):
    pictures = packed(tmp_path, (20, 90), (40, 30))
    assert [pictures.count_large_enough(size) for size in (20, 30, 31)] == [2, 1, 0]
    with pytest.raises(InputError, match="expected a picture of 31×31 pixels or more, found 30×40"):
        pictures.sample(np.random.default_rng(0), 1, 31)


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
    script = "import sys; from pathlib import Path; from srmd.data_loader import open_training_data\n"
    script += "folder, cache = map(Path, sys.argv[1:])\n"
    script += "print(len(open_training_data(folder, cache).names), 'torch' in sys.modules)"
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


@pytest.fixture(scope="module")
def builtin(tmp_path_factory) -> PackedPictures:
    return open_training_data(None, tmp_path_factory.mktemp("data"))


def test_the_builtin_set_has_12_photos_and_24_dead_leaves(builtin):
    leaves = [name for name in builtin.names if name.startswith("dead_leaves")]
    assert len(leaves) == len(set(leaves)) == 24
    assert len(set(builtin.names) - set(leaves)) == 12
    assert builtin.count_large_enough(256) >= 34


def test_the_builtin_set_is_packed_once(builtin, caplog):
    caplog.set_level(logging.INFO, "srmd")
    with open_training_data(None, builtin.path.parent) as again:
        assert again.names == builtin.names
    assert caplog.text == ""


def test_the_validation_pictures_of_the_builtin_set_are_photos(builtin):
    assert builtin.split()[1].names == ["camera", "coins", "page"]


def test_test_photos_are_in_colour_and_not_in_the_training_set(builtin):
    photos = builtin_test_pictures()
    assert {name: photo.shape for name, photo in photos.items()} == {
        "astronaut": (512, 512, 3),
        "chelsea": (300, 451, 3),
        "coffee": (400, 600, 3),
    }
    assert not set(photos) & set(builtin.names)
    assert all(photo.dtype == np.uint8 for photo in photos.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_packing_and_leaves_no_file(tmp_path, monkeypatch, number):
    folder_of(tmp_path / "pictures", (20, 20), (20, 20), (20, 20))
    reads = []

    def read_and_signal(path: Path, max_pixels: int) -> Picture:
        reads.append(path)
        if len(reads) == 2:
            signal.getsignal(number)(number, None)
        return read_picture(path, max_pixels)

    monkeypatch.setattr(data_loader, "read_picture", read_and_signal)
    with pytest.raises(Stopped):
        pack(tmp_path / "pictures", tmp_path / "pack.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
