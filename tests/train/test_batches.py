"""Training batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from default_pca import default_pca
from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.degradation import blur, border, downsample
from srmd.kernel.pca import kernel_codes
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import pack
from srmd.train.batches import Batch, Batches, most_detailed
from srmd.train.colours import COLOUR_SHARES, UNCHANGED_COLOURS, ColourShares
from srmd.train.memory import PicturesInMemory

PCA = default_pca()


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = Image.fromarray(rng.integers(60, 200, (20, 20, 3), np.uint8))
        coarse.resize((160, 140), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{name}.png")
    pack(tmp_path / "pictures", tmp_path / "pack.h5")
    return PackedPictures(tmp_path / "pack.h5")


def draw(
    pictures: PackedPictures | PicturesInMemory,
    number: int = 1,
    colours: ColourShares = COLOUR_SHARES,
    **options: object,
) -> Batch:
    config = TrainConfig(**{"batch_size": 24, "patch_size": 20} | options)
    return Batches(pictures, config, PCA, torch.device("cpu"), colours=colours).draw(number)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_depends_on_seed_and_number_only(pictures: PackedPictures):
    first = draw(pictures)
    assert equal(first, draw(pictures))
    assert not equal(first, draw(pictures, number=2))
    assert not equal(first, draw(pictures, seed=1))


def test_batches_without_jpeg_are_those_of_earlier_versions(pictures: PackedPictures):
    batch = draw(pictures, batch_size=4)
    assert batch.hr[:, 2, 3, 4].tolist() == pytest.approx([0.396355, 0.290196, 0.498039, 0.489906], abs=1e-5)
    assert batch.lr[:, 1, 5, 5].tolist() == pytest.approx([0.342536, 0.843850, 0.358965, 0.384314], abs=1e-5)
    assert batch.degradation_map[:, 15, 0, 0].tolist() == pytest.approx([0.226022, 0.269589, 0.166913, 0], abs=1e-5)


def test_a_batch_is_the_same_from_disk_and_from_memory(pictures: PackedPictures):
    in_memory = PicturesInMemory(pictures, torch.device("cpu"))
    assert equal(draw(pictures), draw(in_memory))


def test_colours_are_augmented_before_kernels_and_noise_are_applied(pictures: PackedPictures):
    colours = ColourShares(recoloured=1, drawn=0.5)
    augmented, unchanged = (
        draw(pictures, colours=shares, conditions=("kernel",)) for shares in (colours, UNCHANGED_COLOURS)
    )
    assert not torch.equal(augmented.hr, unchanged.hr)
    assert equal(augmented, draw(pictures, colours=colours, conditions=("kernel",)))
    lr = downsample(blur(augmented.hr, augmented.kernels), 2)
    inner = slice(border(2), -border(2))
    clipped, expected = (each[..., inner, inner].clamp(0, 1) for each in (augmented.lr, lr))
    assert (clipped - expected).abs().max() < 0.5001 / 255


def test_noise_drawn_by_a_gpu_s_generator_depends_on_seed_and_number_only(pictures: PackedPictures):
    def draw_with_generator(number: int, seed: int = 0) -> Batch:
        batches = Batches(pictures, TrainConfig(batch_size=8, patch_size=20, seed=seed), PCA, torch.device("cpu"))
        batches.generator = torch.Generator()  # as on a GPU
        batches.draw(7)  # another batch before it changes nothing
        return batches.draw(number)

    first = draw_with_generator(1)
    assert equal(first, draw_with_generator(1))
    assert not torch.equal(first.lr, draw_with_generator(2).lr)
    assert not torch.equal(first.lr, draw_with_generator(1, seed=1).lr)
    noise_levels, clean = first.degradation_map[:, 15, 0, 0], draw(pictures, batch_size=8, conditions=("kernel",))
    assert ((first.lr - clean.lr).std((1, 2, 3)) - noise_levels).abs().max() < 0.1 * 75 / 255


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_batches_have_the_documented_shapes(pictures: PackedPictures, scale: int):
    batch = draw(pictures, scale_factor=scale)
    assert batch.lr.shape == (24, 3, 20, 20)
    assert batch.hr.shape == (24, 3, 20 * scale, 20 * scale)
    assert batch.degradation_map.shape == (24, 16, 1, 1)
    assert draw(pictures, scale_factor=scale, conditions=("kernel",)).degradation_map.shape == (24, 15, 1, 1)


@pytest.mark.parametrize("downsampler", ["bicubic", "direct"])
@pytest.mark.parametrize("scale", [2, 3])
def test_lr_is_hr_degraded_by_the_kernel_whose_code_is_in_the_map(
    pictures: PackedPictures, scale: int, downsampler: str
):
    batch = draw(
        pictures, colours=UNCHANGED_COLOURS, scale_factor=scale, conditions=("kernel",), downsampler=downsampler
    )
    lr = downsample(blur(batch.hr, batch.kernels), scale, downsampler)
    inner = slice(border(scale), -border(scale))
    error = (lr - batch.lr)[..., inner, inner].abs().amax((1, 2, 3))
    assert (error < 0.5001 / 255).all()
    torch.testing.assert_close(batch.degradation_map[..., 0, 0], kernel_codes(batch.kernels, PCA))


def test_lr_has_noise_of_the_level_in_the_map(pictures: PackedPictures):
    noisy, clean = (draw(pictures, batch_size=64, conditions=told) for told in (("kernel", "noise"), ("kernel",)))
    noise_levels = noisy.degradation_map[:, 15, 0, 0]
    assert torch.equal(noisy.hr, clean.hr)
    deviations = (noisy.lr - clean.lr).std((1, 2, 3))
    assert (deviations - noise_levels).abs().max() < 0.1 * 75 / 255
    assert 0.15 < (noise_levels == 0).float().mean() < 0.5
    assert noise_levels.max() <= 75 / 255


def test_half_of_the_samples_are_rounded_to_8_bits(pictures: PackedPictures):
    levels = 255 * draw(pictures, colours=UNCHANGED_COLOURS, batch_size=300, patch_size=4, conditions=("kernel",)).lr
    is_rounded = (levels - levels.round()).abs().amax((1, 2, 3)) < 1e-3
    assert is_rounded.float().mean().item() == pytest.approx(1 / 2, abs=0.08)  # its standard deviation is 0.03


def test_at_the_edge_of_a_patch_lr_is_blurred_with_pixels_outside_of_it(pictures: PackedPictures):
    batch = draw(pictures, conditions=("kernel",), batch_size=48)
    edges = downsample(blur(batch.hr, batch.kernels), 2) - batch.lr
    assert edges[..., 0, :].abs().max() > 2 / 255  # `blur` replicates the edge of the patch instead


def test_pictures_smaller_than_a_patch_with_its_border_are_refused(pictures: PackedPictures):
    with pytest.raises(InputError, match="which `patch_size=70` at x2 needs, found at most 160×140"):
        draw(pictures, patch_size=70)


def test_the_most_detailed_candidate_is_chosen():
    flat, ramp, stripes = torch.full((8, 8), 99), torch.arange(64).view(8, 8), torch.arange(64).view(8, 8) % 4 * 80
    crops = torch.stack([flat, ramp, stripes]).byte()[..., None].expand(3, 8, 8, 3)
    candidates = crops[torch.tensor([[0, 1, 0], [2, 1, 0], [0, 0, 0]])]
    assert torch.equal(most_detailed(candidates), crops[[1, 2, 0]])


def test_patches_chosen_from_three_candidates_have_more_detail_than_random_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
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
