"""What a network is trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures, pack
from srmd.degradation import blur, border, downsample
from srmd.kernel.pca import kernel_codes, pca_matrix
from srmd.train.batches import Batch, Batches, most_detailed
from srmd.train.memory import PicturesInMemory

PCA = torch.from_numpy(pca_matrix())


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = Image.fromarray(rng.integers(60, 200, (20, 20, 3), np.uint8))
        coarse.resize((160, 140), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{name}.png")
    pack(tmp_path / "pictures", tmp_path / "pack.h5")
    return PackedPictures(tmp_path / "pack.h5")


def draw(pictures: PackedPictures | PicturesInMemory, number: int = 1, **given: object) -> Batch:
    config = TrainConfig(**{"batch_size": 24, "patch_size": 20} | given)
    return Batches(pictures, config, PCA, torch.device("cpu")).draw(number)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_is_a_function_of_seed_and_number(pictures: PackedPictures):
    first = draw(pictures)
    assert equal(first, draw(pictures))
    assert not equal(first, draw(pictures, number=2))
    assert not equal(first, draw(pictures, seed=1))


def test_a_batch_is_what_it_was_wherever_the_pictures_lie(pictures: PackedPictures):
    held = PicturesInMemory(pictures, torch.device("cpu"))
    assert equal(draw(pictures), draw(held))


def test_noise_drawn_by_the_device_is_a_function_of_seed_and_number_too(pictures: PackedPictures):
    def draw_there(number: int, seed: int = 0) -> Batch:
        batches = Batches(pictures, TrainConfig(batch_size=8, patch_size=20, seed=seed), PCA, torch.device("cpu"))
        batches.generator = torch.Generator()
        batches.draw(7)
        return batches.draw(number)

    first = draw_there(1)
    assert equal(first, draw_there(1))
    assert not torch.equal(first.lr, draw_there(2).lr)
    assert not torch.equal(first.lr, draw_there(1, seed=1).lr)
    told, clean = first.degradation_map[:, 15, 0, 0], draw(pictures, batch_size=8, noise_free=True)
    assert ((first.lr - clean.lr).std((1, 2, 3)) - told).abs().max() < 0.1 * 75 / 255


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_shapes_are_those_of_patches(pictures: PackedPictures, scale: int):
    batch = draw(pictures, scale_factor=scale)
    assert batch.lr.shape == (24, 3, 20, 20)
    assert batch.hr.shape == (24, 3, 20 * scale, 20 * scale)
    assert batch.degradation_map.shape == (24, 16, 1, 1)
    assert draw(pictures, scale_factor=scale, noise_free=True).degradation_map.shape == (24, 15, 1, 1)


@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
@pytest.mark.parametrize("scale", [2, 3])
def test_picture_kernel_and_code_of_a_sample_belong_together(pictures: PackedPictures, scale: int, downsampler: str):
    batch = draw(pictures, scale_factor=scale, noise_free=True, downsampler=downsampler)
    lr = downsample(blur(batch.hr, batch.kernels), scale, downsampler)
    inner = slice(border(scale), -border(scale))
    error = (lr - batch.lr)[..., inner, inner].abs().amax((1, 2, 3))
    assert (error < 0.5001 / 255).all()
    assert 0.2 < (error > 1e-4).float().mean() < 0.8  # some are rounded to 8 bits, some are not
    torch.testing.assert_close(batch.degradation_map[..., 0, 0], kernel_codes(batch.kernels, PCA))


def test_the_noise_that_is_told_is_there(pictures: PackedPictures):
    noisy, clean = (draw(pictures, batch_size=64, noise_free=free) for free in (False, True))
    told = noisy.degradation_map[:, 15, 0, 0]
    assert torch.equal(noisy.hr, clean.hr)
    found = (noisy.lr - clean.lr).std((1, 2, 3))
    assert (found - told).abs().max() < 0.1 * 75 / 255
    assert 0 < (told == 0).float().mean() < 0.3
    assert told.max() <= 75 / 255


def test_the_border_of_a_crop_is_not_that_of_its_picture(pictures: PackedPictures):
    """A patch that lies on a line of pixels would otherwise see its own replicated edge."""
    batch = draw(pictures, noise_free=True, batch_size=48)
    edges = downsample(blur(batch.hr, batch.kernels), 2) - batch.lr
    assert edges[..., 0, :].abs().max() > 2 / 255  # replicating the patch's own edge gives something else


def test_pictures_smaller_than_a_patch_with_its_margin_are_refused(pictures: PackedPictures):
    with pytest.raises(InputError, match="140"):
        draw(pictures, patch_size=70)


def test_crops_with_more_detail_are_preferred():
    flat, ramp, stripes = torch.full((8, 8), 99), torch.arange(64).view(8, 8), torch.arange(64).view(8, 8) % 4 * 80
    crops = torch.stack([flat, ramp, stripes]).byte()[..., None].expand(3, 8, 8, 3)
    chosen = most_detailed(crops[torch.tensor([[0, 1, 0], [2, 1, 0], [0, 0, 0]])])
    assert torch.equal(chosen, crops[[1, 2, 0]])


def test_what_is_learnt_from_has_more_detail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    halves = np.full((200, 200, 3), 99, np.uint8)
    halves[:, :100] = np.random.default_rng(0).integers(0, 255, (200, 100, 3))
    (tmp_path / "pictures").mkdir()
    Image.fromarray(halves).save(tmp_path / "pictures" / "halves.png")
    pack(tmp_path / "pictures", tmp_path / "pack.h5")
    pictures, detail = PackedPictures(tmp_path / "pack.h5"), []
    for candidates in (1, 3):
        monkeypatch.setattr("srmd.train.batches.CANDIDATES", candidates)
        batch = draw(pictures, patch_size=8)
        assert len(batch.hr) == 24
        detail.append(batch.hr.std((1, 2, 3)).mean())
    assert detail[1] > 1.2 * detail[0]
