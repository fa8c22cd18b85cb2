"""The JPEG compression of training samples."""

from pathlib import Path

import numpy as np
import pytest
import torch

from small_solvers import photos, small_solver
from srmd.config import CONDITIONS, TrainConfig
from srmd.jpeg.tables import SUBSAMPLINGS, JpegTables
from srmd.kernel.pca import pca_matrix
from srmd.packs.reader import PackedPictures
from srmd.train.batches import Batch, Batches
from srmd.train.colours import UNCHANGED_COLOURS
from srmd.train.jpegs import RandomJpegs, random_jpegs

PCA = torch.from_numpy(pca_matrix())
JPEG = slice(16, 19)  # channels of the degradation map


@pytest.fixture
def pictures(tmp_path: Path) -> PackedPictures:
    return photos(tmp_path)


@pytest.fixture(scope="module")
def drawn() -> RandomJpegs:
    return random_jpegs(np.random.default_rng(0), 20_000)


def draw(pictures: PackedPictures, batch_size: int = 64, **options: object) -> Batch:
    config = TrainConfig(**{"conditions": CONDITIONS, "batch_size": batch_size, "patch_size": 20} | options)
    return Batches(pictures, config, PCA, torch.device("cpu"), colours=UNCHANGED_COLOURS).draw(1)


def share(mask: torch.Tensor) -> float:
    return mask.float().mean().item()


def test_half_of_the_samples_are_compressed_and_a_tenth_of_these_are_grey(drawn: RandomJpegs):
    assert share(drawn.is_compressed) == pytest.approx(0.5, abs=0.02)
    assert share(drawn.is_grey[drawn.is_compressed]) == pytest.approx(0.1, abs=0.02)
    assert share(drawn.has_noise_removed[drawn.is_compressed]) == pytest.approx(0.5, abs=0.03)
    assert not (drawn.is_grey | drawn.has_noise_removed)[~drawn.is_compressed].any()
    assert torch.equal(drawn.is_compressed.nonzero()[:, 0], drawn.compression.samples)


def test_all_qualities_are_equally_likely(drawn: RandomJpegs):
    quality = {tuple(JpegTables.of_quality(quality).luma): quality for quality in range(1, 101)}
    found = [quality[tuple(table)] for table in drawn.compression.tables[:, 0].tolist()]
    counts = np.bincount(found, minlength=101)[1:]
    assert counts.min() > 50  # 100 on average, standard deviation 10
    assert counts.max() < 150


def test_the_grid_begins_anywhere(drawn: RandomJpegs):
    assert drawn.compression.offsets.unique(dim=0).tolist() == [
        [row, column] for row in range(8) for column in range(8)
    ]


def test_colour_is_mostly_subsampled_and_grey_is_not(drawn: RandomJpegs):
    told = drawn.conditions[:, 2]
    colour, grey = told[drawn.is_compressed & ~drawn.is_grey], told[drawn.is_grey]
    shares = [share(colour == value) for value in (0, 0.5, 1)]
    assert shares == pytest.approx([0.2, 0.1, 0.7], abs=0.03)
    factors = drawn.compression.planes[:, 1, :2]
    is_440, is_422 = ((factors == torch.tensor(pair)).all(1) for pair in ((2, 1), (1, 2)))
    assert share(is_440) == pytest.approx(0.02, abs=0.01)
    assert share(is_422) == pytest.approx(0.08, abs=0.02)
    assert not grey.any()


def test_what_is_told_of_a_sample_is_the_condition_of_its_tables(drawn: RandomJpegs):
    assert not drawn.conditions[~drawn.is_compressed].any()
    compression = drawn.compression
    names = {0: "4:4:4", 0.5: "4:2:2", 1: "4:2:0"}
    for number in range(50):
        sample = compression.samples[number]
        told = drawn.conditions[sample]
        tables = JpegTables(*map(tuple, compression.tables[number].tolist()), names[told[2].item()])
        assert told.tolist() == pytest.approx(tables.condition, abs=1e-6)
        if drawn.is_grey[sample]:
            assert told[0] == told[1]
    assert {names[told] for told in drawn.conditions[:, 2].unique().tolist()} == SUBSAMPLINGS.keys() - {"4:4:0"}


def test_the_degradation_map_says_what_happened_to_each_sample(pictures: PackedPictures):
    batch = draw(pictures)
    told = batch.degradation_map[:, JPEG, 0, 0]
    is_compressed = told.any(1)
    assert batch.degradation_map.shape == (64, 19, 1, 1)
    assert 0.3 < share(is_compressed) < 0.7
    levels = batch.lr * 255
    is_8_bits = (levels - levels.round()).abs().amax((1, 2, 3)) < 1e-3
    assert is_8_bits[is_compressed].all()
    assert share(is_8_bits[~is_compressed]) < 0.5  # noise is added after rounding
    assert batch.lr[is_compressed].aminmax() == (0, 1)
    is_without_noise = batch.degradation_map[:, 15, 0, 0] == 0
    assert share(is_without_noise[is_compressed]) > share(is_without_noise[~is_compressed])


def test_compression_changes_lr_more_the_larger_its_steps(pictures: PackedPictures):
    compressed, plain = (draw(pictures, batch_size=128, conditions=each) for each in (("kernel", "jpeg"), ("kernel",)))
    luma_told = compressed.degradation_map[:, 15, 0, 0]
    is_grey = (compressed.hr[:, :1] == compressed.hr).all(1).all(1).all(1)
    changes = (compressed.lr - plain.lr).abs().mean((1, 2, 3))
    strong, weak = changes[(luma_told > 0.7) & ~is_grey], changes[(luma_told > 0) & (luma_told < 0.4) & ~is_grey]
    assert strong.mean() > 2 * weak.mean()


def test_hr_and_lr_of_grey_samples_are_grey(pictures: PackedPictures):
    batch = draw(pictures, batch_size=200)
    channels = (batch.hr[:, :1] == batch.hr).flatten(1).all(1), (batch.lr[:, :1] == batch.lr).flatten(1).all(1)
    assert torch.equal(*channels)
    told = batch.degradation_map[channels[0], JPEG, 0, 0]
    assert 3 < len(told) < 20
    assert torch.equal(told[:, 0], told[:, 1])
    assert not told[:, 2].any()


def test_a_batch_in_which_no_sample_is_compressed(pictures: PackedPictures, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("srmd.train.jpegs.JPEG_SHARE", 0)
    assert not draw(pictures, batch_size=2).degradation_map[:, JPEG].any()


@pytest.mark.usefixtures("short_runs")
def test_a_resumed_training_with_jpeg_is_that_of_an_uninterrupted_one(pictures: PackedPictures):
    whole, first = (small_solver(pictures, conditions=CONDITIONS) for _ in range(2))
    for _ in range(4):
        whole.training_step()
    for _ in range(2):
        first.training_step()
    second = small_solver(pictures, conditions=CONDITIONS)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.training_step()
    for key, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[key]), key
