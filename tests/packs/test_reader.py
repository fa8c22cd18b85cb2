"""Reading packs: whole pictures, random crops and splits."""

import errno
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from small_packs import damage, folder_of, pack_of, packed, random_picture
from srmd.base.errors import InputError
from srmd.packs.layout import PICTURE_FIELDS, PackIndex
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.pictures.dihedral import VIEWS, turn_array

ROOT = Path(__file__).parents[2]


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
    with pytest.raises(InputError, match="expected a picture of 31×31 pixels or more, found at most 30×40"):
        pictures.sample(np.random.default_rng(0), 1, 31)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 64), (64, 65), (63, 200), (200, 63), (130, 129)])
def test_pictures_of_all_shapes_are_read_as_they_were_packed(tmp_path: Path, size: tuple[int, int]):
    other, picture = random_picture(70, 90), random_picture(*size, seed=1)
    with pack_of(tmp_path / "pack.h5", ("a", False, [(other, 1)]), ("b", False, [(picture, 1)])) as pictures:
        np.testing.assert_array_equal(pictures.picture(0), other)
        np.testing.assert_array_equal(pictures.picture(1), picture)


def test_crops_are_the_windows_that_random_windows_names(tmp_path: Path):
    with packed(tmp_path, (150, 170), (129, 257), (64, 128)) as pictures:
        crops = pictures.sample(np.random.default_rng(3), 300, 60)
        windows = pictures.random_windows(np.random.default_rng(3), 300, 60)
        for crop, (index, row, column, view) in zip(crops, windows, strict=True):
            window = pictures.picture(index)[row : row + 60, column : column + 60]
            np.testing.assert_array_equal(crop, turn_array(window, view))


def test_small_pictures_do_not_inflate_a_pack(tmp_path: Path):
    sizes = [(130, 130)] * 100
    packed(tmp_path, *sizes).close()
    assert (tmp_path / "pack.h5").stat().st_size < 1.05 * 3 * 100 * 130 * 130


def test_an_external_program_can_read_the_pixels_as_documented(tmp_path: Path):
    picture = random_picture(100, 150)
    pack_of(tmp_path / "pack.h5", ("a", True, [(picture, 1)])).close()
    with h5py.File(tmp_path / "pack.h5") as file:
        tiles = file["pixels"][: 3 * 64 * 150].reshape(150, 64, 3)
        np.testing.assert_array_equal(tiles.transpose(1, 0, 2), picture[:64])
        assert file["pictures"][0].tolist() == (100, 150, 0, 1)
        assert (file["names"][0], file["lossy"][0]) == (b"a", True)


@pytest.mark.parametrize("tile", [(0, 0), (0, 64), (64, 128)])
def test_one_wrong_byte_is_noticed_where_it_is_read(tmp_path: Path, tile: tuple[int, int]):
    with packed(tmp_path, (20, 30), (100, 150)) as pictures:
        row, column = tile
        damage(tmp_path / "pack.h5", random_picture(100, 150, seed=2)[row:, column:])
        with pytest.raises(InputError, match=r"pack\.h5: expected the pixels of 2\.png, found a wrong checksum"):
            pictures.picture(1)
        with pytest.raises(InputError, match="wrong checksum"):
            pictures.sample(np.random.default_rng(0), 100, 30)
        np.testing.assert_array_equal(pictures.picture(0), random_picture(20, 30, seed=1))


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path):
    with packed(tmp_path, (20, 30), (100, 150)) as pictures:
        os.truncate(tmp_path / "pack.h5", 2**16 + 2000)
        with pytest.raises(InputError, match=r"pack\.h5: expected the pixels of 2\.png, found the end of the file"):
            pictures.picture(1)


def test_pixels_replaced_by_zeros_are_noticed(tmp_path: Path):
    with packed(tmp_path, (100, 150)) as pictures:
        length = (tmp_path / "pack.h5").stat().st_size
        os.truncate(tmp_path / "pack.h5", 2**16)
        os.truncate(tmp_path / "pack.h5", length)
        with pytest.raises(InputError, match="wrong checksum"):
            pictures.sample(np.random.default_rng(0), 1, 30)


def test_a_disk_that_fails_is_named(tmp_path: Path):
    class FailingDisk:
        def seek(self, position: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with packed(tmp_path, (20, 30)) as pictures:
        with pictures._file:
            pictures._file = FailingDisk()
        with pytest.raises(InputError, match=r"pack\.h5: can't be read \(Input/output error\)"):
            pictures.picture(0)
        pictures._file.close = lambda: None


def test_a_changed_index_is_refused(tmp_path: Path):
    packed(tmp_path, (20, 30)).close()
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        file["checksums"][0] += np.uint32(1)
    with pytest.raises(InputError, match=r"pack\.h5: expected the index of a pack, found a damaged one"):
        PackedPictures(tmp_path / "pack.h5")


@pytest.mark.parametrize(
    "changes",
    [
        {"pictures": np.array([], PICTURE_FIELDS), "checksums": np.empty(0, "<u4")},
        {"pictures": np.array([(0, 30, 0, 1)], PICTURE_FIELDS), "checksums": np.empty(0, "<u4")},
        {"pictures": np.array([(20, 2**31, 0, 1)], PICTURE_FIELDS), "checksums": np.zeros(2**25, "<u4")},
        {"pictures": np.array([(200, 300, 0, 1)], PICTURE_FIELDS), "checksums": np.zeros(20, "<u4")},
        {"pictures": np.array([(20, 30, 1, 1)], PICTURE_FIELDS)},
        {"checksums": np.zeros(2, "<u4")},
        {"lossy": np.zeros(2, bool)},
        {"names": np.zeros(1, np.float32)},
        {"checksums": np.zeros(1, np.int64)},
        {"pixels": np.zeros((20, 30, 3), np.uint8)},
        {"pixels": np.zeros(10, np.uint8)},
        {"pixels": None},
    ],
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict):
    """The file has a correct identity: it may come from a program that makes other packs than this one."""
    packed(tmp_path, (20, 30)).close()
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        for name, values in changes.items():
            del file[name]
            if values is not None:
                file[name] = values
        parts = [file[name][()] for name in ("pictures", "names", "lossy", "checksums")]
        file.attrs["identity"] = PackIndex(*parts).identity
    with pytest.raises(InputError, match=r"pack\.h5: expected the index of a pack, found a damaged one"):
        PackedPictures(tmp_path / "pack.h5")


def test_a_small_file_that_claims_many_pixels_is_refused_without_memory_for_them(tmp_path: Path):
    packed(tmp_path, (20, 30)).close()
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        del file["checksums"]
        file.create_dataset("checksums", (10**12,), "<u4", chunks=(10**6,), compression="gzip")
    with pytest.raises(InputError, match="found a damaged one"):
        PackedPictures(tmp_path / "pack.h5")


def test_a_pack_of_another_version_is_refused_with_both_versions(tmp_path: Path):
    packed(tmp_path, (20, 30)).close()
    with h5py.File(tmp_path / "pack.h5", "a") as file:
        file.attrs["version"] = 3
    with pytest.raises(InputError, match=r"pack\.h5: expected a pack of version 2, found version 3"):
        PackedPictures(tmp_path / "pack.h5")


def sizes_of(seed: int, *relative_sizes: float) -> list[tuple[np.ndarray, float]]:
    return [(random_picture(int(20 * size), int(20 * size), seed), size) for size in relative_sizes]


def test_all_sizes_of_a_file_are_on_one_side_and_validation_has_the_largest(tmp_path: Path):
    files = [(f"{number}", False, sizes_of(number, 1, 0.75, 0.5)) for number in range(20)]
    training, validation = pack_of(tmp_path / "pack.h5", *files).split()
    assert (len(training), len(validation)) == (54, 2)
    assert not set(training.names) & set(validation.names)
    assert validation.relative_sizes.tolist() == [1, 1]
    assert Counter(training.names) == dict.fromkeys(training.names, 3)


@pytest.mark.parametrize(
    ("lossless", "held_out"),
    [([1, 7, 13, 18], ["7", "18"]), ([1, 7, 13], ["5", "15"])],  # three are too few to take two of them
)
def test_validation_pictures_are_lossless_if_there_are_enough(tmp_path: Path, lossless: list, held_out: list):
    files = [(f"{number}", number not in lossless, sizes_of(number, 1)) for number in range(20)]
    _, validation = pack_of(tmp_path / "pack.h5", *files).split()
    assert validation.names == held_out


def test_one_file_of_several_sizes_serves_training_and_validation(tmp_path: Path):
    training, validation = pack_of(tmp_path / "pack.h5", ("a", True, sizes_of(0, 0.75, 0.5))).split()
    assert training.relative_sizes.tolist() == [0.75, 0.5]
    assert validation.relative_sizes.tolist() == [0.75]


def test_packs_of_equal_pictures_have_one_identity_and_others_another(tmp_path: Path):
    def identity(name: str, seed: int, relative_size: float = 1.0) -> str:
        picture = [(random_picture(20, 30, seed), relative_size)]
        with pack_of(tmp_path / "pack.h5", (name, False, picture)) as pictures:
            return pictures.identity

    identities = [identity("a", 0), identity("a", 0), identity("b", 0), identity("a", 1), identity("a", 0, 0.5)]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 4


def test_threads_can_sample_one_pack_at_once(tmp_path: Path):
    with packed(tmp_path, (300, 200), (150, 170)) as pictures, ThreadPoolExecutor(2) as pool:
        expected = [pictures.sample(np.random.default_rng(seed), 20, 100) for seed in range(4)]
        found = pool.map(lambda seed: pictures.sample(np.random.default_rng(seed), 20, 100), range(4))
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
