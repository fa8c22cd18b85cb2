"""Training pictures in memory or on a device."""

from pathlib import Path

import numpy as np
import pytest
import torch

from small_packs import packed
from srmd.packs.reader import PackedPictures
from srmd.train import memory
from srmd.train.memory import PicturesInMemory, cache_pictures, to_device

CPU = torch.device("cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    return packed(tmp_path, (40, 30), (9, 50), (25, 25), (200, 130))


@pytest.mark.parametrize("size", [1, 8, 24])
def test_the_same_generator_gives_the_same_crops_as_from_the_file(pictures: PackedPictures, size: int):
    in_memory = PicturesInMemory(pictures, CPU)
    generators = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(3):  # both leave the generator in the same state
        expected = pictures.sample(generators[0], 100, size)
        assert np.array_equal(in_memory.sample(generators[1], 100, size).numpy(), expected)


def test_crops_come_from_the_pictures_of_a_part_only(pictures: PackedPictures):
    training, validation = pictures.split()
    for part in (training, validation):
        crops = PicturesInMemory(part, CPU).sample(np.random.default_rng(0), 50, 8)
        assert np.array_equal(crops.numpy(), part.sample(np.random.default_rng(0), 50, 8))


def test_pictures_are_cached_where_the_flag_says(pictures: PackedPictures):
    assert cache_pictures(pictures, "off", CPU) is pictures
    assert cache_pictures(pictures, "auto", CPU) is pictures
    assert cache_pictures(pictures, "memory", CPU).location == "in memory"
    assert cache_pictures(pictures, "device", CPU).location == "in memory"  # the CPU's memory


@pytest.mark.parametrize(
    ("on_gpu", "in_memory", "expected"), [(200, 0, "device"), (199, 200, "memory"), (0, 199, "off")]
)
def test_auto_takes_the_gpu_or_else_the_memory_if_half_of_what_is_free_suffices(
    on_gpu: int, in_memory: int, expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (on_gpu, 1000))
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else in_memory)
    assert memory._choose_cache(100, torch.device("cuda")) == expected


def test_a_tensor_already_on_the_device_is_returned_itself():
    tensor = torch.zeros(3)
    assert to_device(tensor, CPU) is tensor
