"""Pictures held in memory or on a device."""

from pathlib import Path

import numpy as np
import pytest
import torch

from packs import packed
from srmd.data_loader import PackedPictures
from srmd.train import memory
from srmd.train.memory import PicturesInMemory, cache_pictures, to_device

CPU = torch.device("cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    return packed(tmp_path, (40, 30), (9, 50), (25, 25), (200, 130))


@pytest.mark.parametrize("size", [1, 8, 24])
def test_the_same_generator_gives_the_same_crops_as_from_the_file(pictures: PackedPictures, size: int):
    held = PicturesInMemory(pictures, CPU)
    generators = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(3):  # and leaves the generator in the same state
        read, indexed = (
            source.sample(rng, 100, size) for source, rng in zip((pictures, held), generators, strict=True)
        )
        assert np.array_equal(read, indexed.numpy())


def test_a_part_is_held_alone(pictures: PackedPictures):
    training, validation = pictures.split()
    for part in (training, validation):
        crops = PicturesInMemory(part, CPU).sample(np.random.default_rng(0), 50, 8)
        assert np.array_equal(crops.numpy(), part.sample(np.random.default_rng(0), 50, 8))


def test_the_cache_is_where_the_flag_says(pictures: PackedPictures):
    assert cache_pictures(pictures, "off", CPU) is pictures
    assert cache_pictures(pictures, "auto", CPU) is pictures
    assert cache_pictures(pictures, "memory", CPU).location == "in memory"
    assert cache_pictures(pictures, "device", CPU).location == "in memory"  # which is the CPU's


@pytest.mark.parametrize(
    ("on_gpu", "in_memory", "expected"), [(200, 0, "device"), (199, 200, "memory"), (0, 199, "off")]
)
def test_auto_takes_the_nearest_place_to_a_gpu_that_has_room(
    on_gpu: int, in_memory: int, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (on_gpu, 1000))
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else in_memory)
    assert memory._choose_cache(100, torch.device("cuda")) == expected


def test_what_is_there_already_is_not_moved():
    tensor = torch.zeros(3)
    assert to_device(tensor, CPU) is tensor
