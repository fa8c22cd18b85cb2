"""The training of estimators: its patches, its loss, and its steps."""

import numpy as np
import pytest
import torch

from small_packs import pack_of
from srmd.estimator import Estimator, EstimatorConfig, Prediction, blur_parameters
from srmd.jpeg.tables import SUBSAMPLINGS, JpegTables
from srmd.packs.reader import PackedPictures
from srmd.pictures.dead_leaves import dead_leaves
from srmd.train import estimator_patches, estimators
from srmd.train.estimator_patches import CROPS, Patches, PatchPool, add_noise, draw_gaussians, draw_patches
from srmd.train.estimators import EstimatorTraining, negative_log_likelihood
from srmd.train.jpeg_patches import compress_patches, draw_tables
from srmd.train.special_patches import make_special
from srmd.train.unnatural_patches import draw_dots, draw_graphics


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PackedPictures:
    picture = dead_leaves(480, 0)
    return pack_of(tmp_path_factory.mktemp("pack") / "leaves.h5", ("leaves.png", False, [(picture, 1.0)]))


@pytest.mark.parametrize("scale", [1, 4])
def test_patches_hold_8_bits_and_two_noise_levels_of_each_blur(pictures: PackedPictures, scale: int):
    patches = draw_patches(pictures, np.random.default_rng(0), scale)
    assert patches.lr.shape == (2 * CROPS, 3, 96, 96)
    assert patches.lr.dtype == torch.uint8
    assert torch.equal(patches.blur[:CROPS], patches.blur[CROPS:])
    assert (patches.noise_levels[:CROPS] <= 5).all()
    assert (patches.noise_levels[:CROPS] == 0).any()
    assert set(patches.scales.tolist()) == {scale}


def test_widths_lie_in_the_range_of_the_scale():
    width1, width2, angle = draw_gaussians(np.random.default_rng(0), 2000, 4)
    assert (width1 >= width2).all()
    assert width1.max() <= 4
    assert np.mean(width1 == width2) == pytest.approx(0.55, abs=0.05)
    assert np.mean(width1 == 0.05) == pytest.approx(0.1, abs=0.03)
    assert angle.min() >= 0
    assert angle.max() < 180


def test_noise_has_its_level_and_keeps_grey_pictures_grey():
    lr = torch.full((2, 3, 64, 64), 128.0)
    lr[1, 0] += 10
    noisy = add_noise(lr, torch.tensor([10.0, 20.0]), np.random.default_rng(0))
    assert (noisy - lr).std((1, 2, 3)).tolist() == pytest.approx([10, 20], rel=0.05)
    assert torch.equal(noisy[0, 0], noisy[0, 2])
    assert not torch.equal(noisy[1, 1], noisy[1, 2])


def test_blur_is_turned_with_the_patches(monkeypatch: pytest.MonkeyPatch):
    """A picture of stripes along the blur's long axis stays so in every view."""
    rows, columns = np.mgrid[:96, :96]
    angle = np.deg2rad(30)
    stripes = 128 + 100 * np.sin((rows * np.cos(angle) - columns * np.sin(angle)) / 2)
    lr = torch.from_numpy(stripes).round().byte().expand(2 * CROPS, 3, -1, -1)
    blur = torch.from_numpy(blur_parameters(2.0, 0.5, 30, 2)).float().expand(2 * CROPS, -1)
    noise_levels, scales, jpeg = torch.ones(2 * CROPS), torch.full((2 * CROPS,), 2), torch.zeros(2 * CROPS, 3)
    drawn = Patches(lr, blur, noise_levels, scales, jpeg)
    monkeypatch.setattr(estimator_patches, "draw_patches", lambda *_: drawn)
    pool = PatchPool(None, 2)
    pool.grow()
    views = set()
    for _ in range(20):
        patches = pool.batch(1)
        down, right = patches.lr[0, 0].diff(dim=0)[:, :-1], patches.lr[0, 0].diff(dim=1)[:-1]
        gradients = torch.stack([(right * right).mean(), (right * down).mean(), (down * down).mean()])
        columns_, both, rows_ = patches.blur[0].tolist()
        assert (gradients[0] < gradients[2]) == (columns_ > rows_)  # smooth along the axis of more blur
        assert torch.sign(gradients[1]) == -np.sign(both)
        views.add((columns_ > rows_, both > 0))
    assert len(views) == 4


def test_the_pool_keeps_its_size(pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(estimator_patches, "POOL", 4 * CROPS)
    pool = PatchPool(pictures, None)
    for _ in range(3):
        pool.grow()
    assert len(pool) == 4 * CROPS
    assert pool.batch(8).targets().shape == (8, 4)


def test_a_share_of_the_patches_is_compressed_and_told_so(pictures: PackedPictures):
    pool = PatchPool(pictures, 2, jpeg_share=0.5)
    pool.grow()
    patches = pool.batch(200)
    is_jpeg = patches.jpeg.any(1)
    assert is_jpeg.float().mean().item() == pytest.approx(0.5, abs=0.15)
    assert (patches.jpeg[is_jpeg, 0] > 0.05).any()
    clean = patches.noise_levels == 0
    assert clean[is_jpeg].float().mean() > clean[~is_jpeg].float().mean()


def test_only_chosen_patches_are_compressed_on_a_grid_that_starts_anywhere():
    rng, pixels = np.random.default_rng(0), np.random.default_rng(1).integers(0, 256, (12, 3, 64, 64))
    lr = torch.from_numpy(pixels).float()
    chosen = np.arange(12) % 2 == 0
    compressed, told = compress_patches(lr, chosen, rng)
    changed = (compressed != lr).flatten(1).any(1)
    assert changed.tolist() == chosen.tolist() == told.any(1).tolist()
    assert torch.equal(compressed, compressed.round())
    flat = torch.full((40, 3, 64, 64), 100.0)
    flat[:, :, :, 33:] = 180  # blocks that hold the edge are disturbed, and start at different columns
    edges, _ = compress_patches(flat, np.ones(40, bool), rng)
    first_disturbed = {int((picture[1] != 100).any(0).nonzero()[0]) for picture in edges}
    assert len(first_disturbed) > 3


def test_tables_are_those_of_the_quality_and_of_grey():
    rng = np.random.default_rng(0)
    tables = [draw_tables(rng, grey=False) for _ in range(300)]
    assert {each.subsampling for each in tables} == set(SUBSAMPLINGS)
    assert {each.luma for each in tables} <= {JpegTables.of_quality(quality).luma for quality in range(5, 101)}
    grey = draw_tables(rng, grey=True)
    assert grey.luma == grey.chroma
    assert grey.subsampling == "4:4:4"


def test_graphics_are_sharp_and_dots_have_their_noise_level():
    rng = np.random.default_rng(0)
    for _ in range(20):
        graphics = draw_graphics(rng, 96)
        assert graphics.shape == (96, 96, 3)
        assert graphics.dtype == np.uint8
    levels = []
    for _ in range(60):
        dots, level = draw_dots(rng, 96)
        assert dots.shape == (96, 96, 3)
        assert dots.dtype == np.uint8
        levels.append(level)
    assert 0 in levels
    assert max(levels) > 20


def test_special_patches_keep_shape_and_type():
    rng, crop = np.random.default_rng(0), np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    contrasts = [special.std() for special in (make_special(rng, crop) for _ in range(20))]
    assert min(contrasts) < 10  # flat, or with little contrast
    assert max(contrasts) > 15  # text
    assert all(make_special(rng, crop).shape == crop.shape for _ in range(3))


def test_the_loss_is_the_negative_log_likelihood():
    torch.manual_seed(0)
    cholesky = torch.tril(torch.randn(5, 4, 4) / 4, -1) + torch.diag_embed(torch.rand(5, 4) + 0.5)
    mean, targets = torch.randn(5, 4), torch.randn(5, 4)
    precision = cholesky @ cholesky.transpose(1, 2)
    expected = -torch.distributions.MultivariateNormal(mean, precision_matrix=precision).log_prob(targets).mean()
    found = negative_log_likelihood(Prediction(mean, cholesky), targets)
    assert found.item() == pytest.approx(expected.item() - 2 * np.log(2 * np.pi), rel=1e-4)


def test_a_short_training_lowers_the_loss(pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"MIN_POOL": 64, "BATCH": 16, "WARM_UP": 5, "STEPS_PER_DRAW": 100}.items():
        monkeypatch.setattr(estimators, name, value)
    torch.manual_seed(0)
    training = EstimatorTraining(Estimator(EstimatorConfig(hidden=32)), PatchPool(pictures, 2), torch.device("cpu"))
    training.standardise_features()
    losses = [training.step(0).item() for _ in range(30)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 1
    assert training.steps == 30
    before, after = (network.window1.weight for network in (training.network, training.ema))
    assert not torch.equal(before, after)
