"""Sheets and maps of estimates, by the command line."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srmd.degradation import degrade_picture
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.estimate import BlindEstimator
from srmd.restore.estimate_map import estimate_map
from srmd.restore.restorer import load
from tests.small_restoring import files, metrics, picture, restore, write_network

GRIDS = ["--kernel_grid=1.5,0", "--noise_grid=0,8"]


def run(*flags):
    return restore("--input", *flags, weights=None, kernel="auto")


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """`photo.png`, 160×80 pixels, whose right half is noisy."""
    monkeypatch.chdir(tmp_path)
    lr = degrade_picture(builtin_test_pictures()["chelsea"][60:220, 110:430], "gaussian:1", 0, 2).copy()
    noise = np.random.default_rng(0).normal(0, 20, (80, 80, 3))
    lr[:, 80:] = np.clip(lr[:, 80:] + noise, 0, 255).astype(np.uint8)
    Image.fromarray(lr).save("photo.png")
    return lr


def test_each_picture_gives_a_sheet_and_a_row(photo):
    Path("in/more").mkdir(parents=True)
    Path("photo.png").rename("in/more/photo.png")
    picture("in/grey.png", mode="L", icc_profile=b"")
    assert run("in", "--recursive", *GRIDS) == 0
    assert files() == ["grey_grid.png", "metrics.json", "more/photo_grid.png"]
    grey, row = metrics()["images"]
    assert row["part"] == {"top": 0, "left": 0, "height": 80, "width": 160}
    assert row["estimated"]["kernel"].startswith(("gaussian", "delta"))
    assert grey["part"] == {"top": 0, "left": 0, "height": 16, "width": 20}
    assert metrics()["settings"][0]["kernel_grid"] == [0, 1.5]
    with Image.open("out/more/photo_grid.png") as sheet:
        assert sheet.size == (2 * 320 + 4, 28 + 3 * (4 + 28 + 160))


def test_a_sheet_is_skipped_and_one_of_another_grid_is_refused(photo, capsys):
    assert run("photo.png", "--kernel_grid=0,1") == 0
    assert run("photo.png", "--kernel_grid=1,0") == 0
    assert "skipped 1" in capsys.readouterr().out
    assert run("photo.png", "--kernel_grid=0,2") == 2
    assert "kernel_grid" in capsys.readouterr().err
    assert run("photo.png", "--kernel_grid=0,2", "--overwrite") == 0
    assert run("photo.png", "--tile=64") == 0
    assert files() == ["metrics.json", "photo.png", "photo_grid.png"]
    assert len(metrics()["images"]) == 2


def test_a_network_without_noise_level_makes_no_sheet_of_noise_levels(photo, capsys):
    write_network("tiny.safetensors")
    assert restore("--input", "photo.png", "--noise_grid=0,8", kernel="auto") == 2
    assert capsys.readouterr().err == "--noise_grid: tiny.safetensors takes no noise level, found 8\n"
    assert restore("--input", "photo.png", "--kernel_grid=0,1", kernel="auto") == 0
    assert restore("--input", "photo.png", "--noise_grid=0", "--output=known") == 0  # nothing is estimated
    assert files("known") == ["metrics.json", "photo_grid.png"]


def test_noise_that_a_network_ignores_is_warned_of_with_a_map(photo, capsys):
    write_network("tiny.safetensors")
    assert restore("--input", "photo.png", "--estimate_map", kernel="auto") == 0
    assert "is estimated, but this network takes no noise level" in capsys.readouterr().out


def test_a_map_of_estimates_is_told_and_recorded(photo):
    assert run("photo.png", "--estimate_map") == 0
    windows = metrics()["images"][0]["estimated"]["windows"]
    levels = np.array(windows["noise_level"])
    assert levels.shape == (len(windows["rows"]), len(windows["columns"]))
    assert levels[:, 0].max() + 5 < levels[:, -1].min()
    expected = estimate_map(BlindEstimator(2), photo)
    assert windows == expected.entry()
    restorer = load("srmd_x2", "cpu", "fp32", "torch")
    sr = np.zeros((160, 320, 3))
    for rows, columns, tile in restorer.restore_tiles(photo, expected.degradation(15)):
        sr[rows, columns] = tile[0].permute(1, 2, 0).clamp(0, 1)
    with Image.open("out/photo.png") as result:
        assert np.abs(np.asarray(result) - sr * 255).max() < 1


def test_noise_in_a_map_that_the_network_is_not_told_is_warned_of(photo, capsys):
    write_network("tiny.safetensors")
    assert restore("--input", "photo.png", "--estimate_map", kernel="auto") == 0
    warning = r"warning: photo.png: noise [\d.]+ is estimated, but this network takes no noise level"
    assert len(re.findall(warning, capsys.readouterr().out)) == 1


@pytest.mark.slow
def test_tiles_do_not_change_a_mapped_result(photo):
    assert run("photo.png", "--estimate_map", "--suffix=_whole") == 0
    assert run("photo.png", "--estimate_map", "--suffix=_tiles", "--tile=30") == 0
    with Image.open("out/photo_whole.png") as whole, Image.open("out/photo_tiles.png") as tiles:
        assert np.abs(np.asarray(whole).astype(int) - np.asarray(tiles)).max() <= 1


@pytest.mark.slow
def test_a_result_without_a_map_is_not_taken_for_one(photo, capsys):
    assert run("photo.png") == 0
    assert run("photo.png", "--estimate_map") == 2
    assert "estimate_map" in capsys.readouterr().err


def test_a_result_of_an_estimated_map_is_skipped(photo: np.ndarray, capsys: pytest.CaptureFixture):
    assert run("photo.png", "--estimate_map") == 0
    capsys.readouterr()
    assert run("photo.png", "--estimate_map") == 0
    assert "skipped 1" in capsys.readouterr().out
    assert run("photo.png") == 2
    assert "out/photo.png exists and was made with other settings: " in capsys.readouterr().err


def test_a_sheet_of_a_picture_whose_name_has_a_line_feed(photo: np.ndarray):
    Path("photo.png").rename("a\nb.png")
    assert run("a\nb.png", "--noise_grid=0,8") == 0
    assert files() == ["a\nb_grid.png", "metrics.json"]
