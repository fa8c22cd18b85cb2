"""Whatever writes a file leaves the old one where the disk is full."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from default_pca import default_pca
from srmd.model import SRMD, NetworkConfig
from srmd.packs.sources import pack
from srmd.pictures.files import write_picture
from srmd.weights.checkpoint import save_checkpoint
from srmd.weights.files import Weights, write_weights


def write_pack(path: Path) -> None:
    folder = path.parents[1] / "pictures"
    folder.mkdir()
    Image.new("RGB", (30, 20)).save(folder / "a.png")
    pack(folder, path)


WRITERS = {
    "weights.safetensors": lambda path: write_weights(
        path, Weights(SRMD(NetworkConfig(features=4, layers=3)), default_pca())
    ),
    "checkpoint-0000001.pt": lambda path: save_checkpoint(path, {"step": 1}),
    "pack.h5": write_pack,
    "picture.png": lambda path: write_picture(path, np.zeros((4, 5, 3))),
    "picture.jpg": lambda path: write_picture(path, np.zeros((4, 5, 3))),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write: Callable[[Path], object] = WRITERS[name]
    folder = tmp_path / "written"
    folder.mkdir()
    (folder / name).write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write(folder / name)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {name: b"old"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_replaced_and_never_written_in_place(tmp_path: Path, name: str):
    """A program that has the old file open goes on reading the old file."""
    folder = tmp_path / "written"
    folder.mkdir()
    (folder / name).write_bytes(b"old")
    with (folder / name).open("rb") as opened:
        WRITERS[name](folder / name)
        assert opened.read() == b"old"
    assert (folder / name).stat().st_size > 10
