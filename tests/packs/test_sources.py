"""Packing the pictures of a folder."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patience import PATIENCE
from small_packs import folder_of, random_picture
from srmd.base.errors import InputError, Stopped
from srmd.config import PackOptions
from srmd.packs import sources
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.packs.training_data import open_training_data
from srmd.pictures.files import read_picture
from srmd.pictures.picture import Picture

ROOT = Path(__file__).parents[2]


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


def test_the_pictures_of_an_animation_that_are_not_packed_are_warned_of(tmp_path: Path, caplog):
    frames = [Image.fromarray(random_picture(20, 30, seed)) for seed in range(2)]
    (tmp_path / "in").mkdir()
    for number in range(5):
        frames[0].save(tmp_path / f"in/{number}.gif", save_all=True, append_images=frames[1:])
    assert pack(tmp_path / "in", tmp_path / "pack.h5").packed == 5
    messages = [record.getMessage() for record in caplog.records]
    warning = "it holds several pictures (frames or pages), of which the first is used"
    assert sum(message.endswith(f".gif: {warning}") for message in messages) == 3
    assert messages[3:] == [f"5 warnings such as: {warning}"]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_packing_and_leaves_no_file(tmp_path, monkeypatch, number):
    folder_of(tmp_path / "pictures", (20, 20), (20, 20), (20, 20))
    reads = []

    def read_and_signal(path: Path, max_pixels: int) -> Picture:
        reads.append(path)
        if len(reads) == 2:
            signal.getsignal(number)(number, None)
        return read_picture(path, max_pixels)

    monkeypatch.setattr(sources, "read_picture", read_and_signal)
    with pytest.raises(Stopped):
        pack(tmp_path / "pictures", tmp_path / "pack.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def sizes_of(path: Path) -> list[tuple[str, float, tuple[int, int]]]:
    """Name, relative size, and (height, width) of each picture in a pack."""
    with PackedPictures(path) as pictures:
        sizes = [tuple(size) for size in pictures.sizes.tolist()]
        return list(zip(pictures.names, pictures.relative_sizes.tolist(), sizes, strict=True))


def test_pictures_are_packed_at_the_sizes_asked_for(tmp_path: Path):
    summary = pack(folder_of(tmp_path / "pictures", (400, 301)), tmp_path / "pack.h5")
    assert sizes_of(tmp_path / "pack.h5") == [
        ("1.png", 1, (400, 301)),
        ("1.png", 0.75, (300, 226)),
        ("1.png", 0.5, (200, 150)),
    ]
    assert (summary.packed, summary.pictures) == (1, 3)
    assert "packed 1 picture into" in str(summary)
    assert "3 with smaller sizes" in str(summary)


@pytest.mark.parametrize(("side", "stored"), [(256, [1, 0.5]), (254, [1])])
def test_a_smaller_version_needs_128_pixels(tmp_path: Path, side: int, stored: list[float]):
    folder = folder_of(tmp_path / "pictures", (300, side))
    pack(folder, tmp_path / "pack.h5", options=PackOptions(sizes=(1, 0.5)))
    assert [size for _, size, _ in sizes_of(tmp_path / "pack.h5")] == stored


def test_the_largest_size_is_stored_of_small_pictures_too(tmp_path: Path):
    pack(folder_of(tmp_path / "pictures", (40, 20)), tmp_path / "pack.h5", options=PackOptions(sizes=(0.75, 0.5)))
    assert sizes_of(tmp_path / "pack.h5") == [("1.png", 0.75, (30, 15))]


def test_lossy_files_can_have_sizes_of_their_own(tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = Image.fromarray(random_picture(400, 400))
    for name, options in (("a.jpg", {}), ("b.png", {}), ("c.webp", {}), ("d.webp", {"lossless": True})):
        picture.save(folder / name, **options)
    pack(folder, tmp_path / "pack.h5", options=PackOptions(sizes=(1.0,), sizes_lossy=(0.75, 0.5)))
    assert [(name, size) for name, size, _ in sizes_of(tmp_path / "pack.h5")] == [
        ("a.jpg", 0.75),
        ("a.jpg", 0.5),
        ("b.png", 1),
        ("c.webp", 0.75),
        ("c.webp", 0.5),
        ("d.webp", 1),
    ]


def test_smaller_versions_keep_colours_and_are_antialiased(tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 256:] = (200, 100, 50)
    pixels[::2, :256] = 255  # stripes above the Nyquist frequency of half the size become grey
    Image.fromarray(pixels).save(folder / "a.png")
    pack(folder, tmp_path / "pack.h5", options=PackOptions(sizes=(1, 0.5)))
    with PackedPictures(tmp_path / "pack.h5") as pictures:
        half = pictures.picture(1)
    assert np.abs(half[20:-20, 10:110].astype(int) - 127.5).max() < 3
    assert (half[:, 140:] == (200, 100, 50)).all()


def test_subfolders_are_packed_if_asked_for(tmp_path: Path):
    folder = folder_of(tmp_path / "pictures", (9, 9))
    folder_of(folder / "b10", (9, 9))
    folder_of(folder / "b9", (9, 9))
    folder_of(folder / ".hidden", (9, 9))
    pack(folder, tmp_path / "flat.h5")
    pack(folder, tmp_path / "deep.h5", options=PackOptions(recursive=True))
    assert [name for name, _, _ in sizes_of(tmp_path / "flat.h5")] == ["1.png"]
    assert [name for name, _, _ in sizes_of(tmp_path / "deep.h5")] == ["1.png", "b9/1.png", "b10/1.png"]


def test_a_pack_is_the_same_for_any_number_of_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = folder_of(tmp_path / "pictures", *[(140 + 30 * (n % 5), 200) for n in range(12)])
    (folder / "broken.png").write_bytes(b"no picture")
    contents = set()
    for threads in (1, 2, 7):
        monkeypatch.setattr(sources, "_processors", lambda threads=threads: threads)
        pack(folder, tmp_path / "pack.h5")
        contents.add((tmp_path / "pack.h5").read_bytes())
        time.sleep(0.7)  # HDF5 can store the time, in seconds
    assert len(contents) == 1


def test_pictures_are_read_by_as_many_threads_as_there_are_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder_of(tmp_path / "pictures", *[(9, 9)] * 6)
    together = threading.Barrier(3, timeout=PATIENCE)

    def read_with_others(path: Path, max_pixels: int) -> Picture:
        together.wait()  # raises BrokenBarrierError if fewer than three threads read
        return read_picture(path, max_pixels)

    monkeypatch.setattr(sources, "_processors", lambda: 3)
    monkeypatch.setattr(sources, "read_picture", read_with_others)
    assert pack(tmp_path / "pictures", tmp_path / "pack.h5").packed == 6


def test_reading_in_several_threads_leaves_the_settings_of_pillow_and_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sources, "_processors", lambda: 8)
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    pack(folder_of(tmp_path / "pictures", *[(9, 9)] * 50), tmp_path / "pack.h5")
    assert list(warnings.filters) == filters
    assert limit == Image.MAX_IMAGE_PIXELS


PACK_ON_A_FULL_DISK = """
import resource, sys
from srmd.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))  # a longer file is refused, as on a full disk
sys.exit(main.main(["--mode=prepare", "--train_data=pictures", "--output=out/pack.h5"]))
"""


@pytest.mark.parametrize("room", [10_000, 100_000, 555_000])  # before the pixels, among them, and in the index
def test_a_full_disk_ends_packing_with_one_line_and_without_a_file(tmp_path: Path, room: int):
    folder_of(tmp_path / "pictures", *[(300, 300)])
    command = [sys.executable, "-c", PACK_ON_A_FULL_DISK, str(room)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (1, "out/pack.h5: File too large\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_subfolder_that_cannot_be_listed_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    folder = folder_of(tmp_path / "pictures", (9, 9))
    (folder / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with open_training_data(folder, tmp_path / "cache", options=PackOptions(recursive=True)):
        pass
    warning = f"left out: {folder / 'closed'}: Permission denied"
    assert [message for message in caplog.messages if message.startswith("left out")] == [warning]
