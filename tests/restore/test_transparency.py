"""Transparent pictures: hidden colours do not show in results, and alpha is as sharp as the colours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srmd
from picture_files import open_picture
from srmd.cli import main

SIDE = 48  # LR pixels


@pytest.fixture(scope="module")
def restorer() -> srmd.Restorer:
    return srmd.load("srmd_x2", device="cpu", precision="fp32", engine="torch")


def disc(side: int, hidden: int, colour: int = 255) -> np.ndarray:
    """A disc on transparent pixels of the colour `hidden`, RGBA (side, side, 4); its edge has three levels of alpha."""
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    alpha = np.clip(side / 3 - np.hypot(rows, columns) + 0.5, 0, 1)
    picture = np.full((side, side, 4), colour, np.uint8)
    picture[alpha < 0.01, :3] = hidden
    picture[..., 3] = np.rint(255 * alpha)
    return picture


def on_white(rgba: np.ndarray) -> np.ndarray:
    opacity = rgba[..., 3:] / 255
    return rgba[..., :3] * opacity + 255 * (1 - opacity)


@pytest.mark.parametrize("kernel", ["delta", "gaussian:1.3"])
def test_a_white_disc_stays_invisible_on_white_whatever_its_hidden_colour(restorer: srmd.Restorer, kernel: str):
    results = [restorer.restore(disc(SIDE, hidden), kernel, noise_level=5) for hidden in (0, 128, 255)]
    assert all(on_white(sr).min() >= 250 for sr in results)
    np.testing.assert_array_equal(results[0], results[2])


def test_a_nearly_transparent_colour_does_not_show(restorer: srmd.Restorer):
    picture = disc(SIDE, hidden=255)
    picture[picture[..., 3] == 0] = (0, 0, 0, 1)  # black with an alpha of 1 in 255, as lossy editors leave it
    assert on_white(restorer.restore(picture, "gaussian:1.3")).min() >= 250


def test_visible_colours_are_restored_as_without_alpha(restorer: srmd.Restorer):
    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[:, : SIDE // 2] = 8
    sr = restorer.restore(np.dstack([photo, alpha]), "gaussian:1.0")
    np.testing.assert_array_equal(sr[..., :3], restorer.restore(photo, "gaussian:1.0"))


def test_alpha_is_as_sharp_as_a_grey_picture_and_free_of_noise(restorer: srmd.Restorer):
    hr = disc(2 * SIDE, hidden=0)
    lr = srmd.degrade(hr, "gaussian:2.0")
    sr = restorer.restore(lr, "gaussian:2.0", noise_level=30)
    true_alpha = hr[..., 3].astype(float)
    enlarged = np.asarray(Image.fromarray(lr[..., 3]).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC), float)
    error, bicubic_error = (np.sqrt(((each - true_alpha) ** 2).mean()) for each in (sr[..., 3], enlarged))
    assert error < bicubic_error / 3
    clean = restorer.restore(lr, "gaussian:2.0", noise_level=0)
    np.testing.assert_array_equal(sr[..., 3], clean[..., 3])


@pytest.mark.parametrize("most", [255, 77, 3])
def test_areas_of_equal_alpha_stay_so(restorer: srmd.Restorer, most: int):
    picture = disc(SIDE, hidden=0)
    picture[..., 3] = np.rint(picture[..., 3] * (most / 255))
    alpha = restorer.restore(picture, "gaussian:2.6")[..., 3]
    assert (alpha[SIDE - 12 : SIDE + 12, SIDE - 12 : SIDE + 12] == most).all()
    assert (alpha[:10] == 0).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.usefixtures("_in_tmp_path")
def test_the_command_spreads_colours_and_restores_alpha_in_files(mode: str):
    image = Image.fromarray(disc(SIDE, hidden=0))
    if mode == "P":
        image = Image.fromarray((disc(SIDE, hidden=0)[..., 3] > 127).astype(np.uint8))
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save("disc.png", transparency=0)
    else:
        image.convert(mode).save("disc.png")
    flags = ["--kernel=gaussian:1.3", "--output=out", "--engine=torch", "--precision=fp32", "--visdom=off"]
    assert main.main(["disc.png", *flags]) == 0
    result = open_picture("out/disc.png")
    assert result.mode == ("LA" if mode == "P" else mode)  # the palette holds greys only
    rgba = np.asarray(result.convert("RGBA"))
    assert on_white(rgba).min() >= 250
    assert (rgba[..., 3] == 0).any()
    assert (rgba[..., 3] == 255).any()


@pytest.fixture
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
