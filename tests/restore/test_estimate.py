"""Estimates of blur and noise: their laws, and estimates of photos whose degradation is known."""

import functools
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import srmd
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import JpegTables
from srmd.pictures.dihedral import turn_array
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.weights.shipped import estimator_file

SIDE = 256  # HR pixels


@functools.cache
def estimator(scale: int = 2) -> BlindEstimator:
    return BlindEstimator(scale)


@functools.cache
def photo(name: str = "chelsea", side: int = SIDE) -> NDArray[np.uint8]:
    picture = getattr(skimage.data, name)()
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def lr(
    kernel: str = "gaussian:1.2", noise_level: float = 0, name: str = "chelsea", scale: int = 2
) -> NDArray[np.uint8]:
    return srmd.degrade(photo(name), kernel, noise_level, scale=scale)


@pytest.mark.parametrize("view", range(1, 8))
def test_a_turned_picture_gives_the_turned_kernel(view: int):
    picture = lr("gaussian:1.8,0.8,30")
    upright, turned = (estimator().estimate(pixels) for pixels in (picture, turn_array(picture, view)))
    assert upright.widths[0] > 1.3 * upright.widths[1]
    assert turned.widths == pytest.approx(upright.widths, abs=0.02)
    angle = upright.angle - 90 * view if view < 4 else 180 - (upright.angle - 90 * view)
    assert abs((turned.angle - angle + 90) % 180 - 90) <= 2


def test_less_brightness_keeps_the_kernel_and_scales_the_noise_level():
    hr = 0.2 + 0.6 * photo() / 255  # no pixel is clipped
    picture = srmd.degrade(hr, "gaussian:1.4", 12)
    bright, dark = (estimator().estimate(factor * picture) for factor in (1, 0.6))
    assert dark.widths == pytest.approx(bright.widths, abs=0.25)
    assert dark.noise_level == pytest.approx(0.6 * bright.noise_level, abs=0.7)


def test_more_noise_gives_a_higher_level():
    levels = [estimator().estimate(lr(noise_level=level)).noise_level for level in (0, 3, 8, 20, 40)]
    assert levels[0] == 0
    assert levels == sorted(set(levels))


def test_the_estimate_does_not_depend_on_the_number_of_threads():
    threads, picture = torch.get_num_threads(), [torch.from_numpy(lr()).permute(2, 0, 1)[None] / 255]
    try:
        means = []
        for count in (1, 3):
            torch.set_num_threads(count)
            means.append(estimator().posterior(picture).mean)
    finally:
        torch.set_num_threads(threads)
    assert np.allclose(*means, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_pictures_that_tell_nothing_are_unsure_and_get_no_blur(scale: int):
    gradient = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None]
    for picture in (
        np.full((64, 64, 3), 120, np.uint8),
        lr()[:9, :5],
        lr()[:1, :1],
        np.broadcast_to(gradient, (64, 64, 3)),
    ):
        found = estimator(scale).estimate(np.ascontiguousarray(picture))
        assert not found.is_sure
        assert found.noise_level == 0
        assert found.kernel_spec == "delta"


def dots(kind: str) -> NDArray[np.uint8]:
    """A picture of 96×96 pixels that tells nothing of its blur, but has much detail."""
    rng, side = np.random.default_rng(0), 96
    gradient = np.linspace(60, 160, side).astype(np.uint8)[None, :, None].repeat(side, 0).repeat(3, 2)
    if kind == "uniform noise":
        return rng.integers(0, 256, (side, side, 3), np.uint8)
    if kind == "flat with noise":
        return (128 + rng.normal(0, 10, (side, side, 3))).round().astype(np.uint8)
    if kind == "two colours":
        return np.asarray(Image.fromarray(gradient).convert("1").convert("RGB"))
    return np.floor(gradient / 5 + 100 + rng.random((side, side, 3))).astype(np.uint8)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["uniform noise", "flat with noise", "two colours", "dithered gradient"])
def test_noise_and_dithers_do_not_tell_a_blur(kind: str, scale: int):
    found = estimator(scale).estimate(dots(kind))
    assert not found.is_sure
    assert found.kernel_spec == "delta"
    assert found.noise_level == {"uniform noise": 75, "flat with noise": pytest.approx(10, abs=0.5)}.get(kind, 0)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_photo_in_two_colours_has_no_noise_and_tells_no_blur(scale: int):
    dithered = Image.fromarray(lr()).convert("1").convert("RGB")
    found = estimator(scale).estimate(np.asarray(dithered))
    assert (found.kernel_spec, found.noise_level, found.is_sure) == ("delta", 0, False)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(5, 5), (16, 16), (20, 20), (31, 31), (15, 200), (63, 16)])
def test_a_small_picture_is_unsure(shape: tuple[int, int], scale: int):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for picture in (noise, photo()[: shape[0], : shape[1]]):
        found = estimator(scale).estimate(picture)
        assert (found.kernel_spec, found.noise_level, found.confidence) == ("delta", 0, 0)


def test_a_picture_of_four_windows_is_read():
    assert estimator().estimate(lr("gaussian:1.4", 0, "astronaut")[48:80, 48:80]).is_sure


def test_what_is_known_of_a_small_picture_is_returned():
    picture = photo()[:20, :20]
    assert srmd.estimate(picture, 2, noise_level=6).noise_level == 6
    found = srmd.estimate(picture, 2, kernel="gaussian:2,1,30")
    assert (found.kernel_spec, found.noise_level) == ("gaussian:2,1,30", 0)


def test_small_windows_of_a_large_picture_are_read_and_those_of_a_small_one_are_not():
    picture = lr("gaussian:1.4", 0, "astronaut")
    windows = estimator().estimate_windows(picture, size=24, overlap=0)
    assert sum(found.is_sure for _, _, found in windows) > len(windows) / 2
    assert not any(found.is_sure for _, _, found in estimator().estimate_windows(picture[48:72, 48:72], 16, 8))


@pytest.mark.parametrize("noise_level", [0, 15])
@pytest.mark.parametrize("colour", [0, 16, 255])
def test_bars_along_the_edges_change_nothing(colour: int, noise_level: int):
    picture = lr("gaussian:1.3", noise_level)
    for bars in ([(12, 12), (0, 0)], [(5, 40), (20, 0)]):
        letterboxed = np.pad(picture, [*bars, (0, 0)], constant_values=colour)
        assert estimator().estimate(letterboxed) == estimator().estimate(picture)


def page(size: int, background: int) -> NDArray[np.uint8]:
    """Text of a size in pixels on a grey level."""
    image = Image.new("RGB", (300, 200), (background,) * 3)
    for line in range(0, 200, size + 4):
        words = "The quick brown fox jumps over the lazy dog, 0123456789 times; "
        ImageDraw.Draw(image).text((4 - line, line), 3 * words, fill=0, font_size=size)
    return np.asarray(image)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("background", [200, 255])
@pytest.mark.parametrize("size", [9, 12])
def test_small_text_has_no_noise_and_tells_no_blur(size: int, background: int, scale: int):
    estimate = estimator(scale).estimate(page(size, background))
    assert (estimate.kernel_spec, estimate.noise_level, estimate.is_sure) == ("delta", 0, False)


def test_noise_on_text_is_not_overlooked():
    noise = np.random.default_rng(0).normal(0, 10, (200, 300, 3))
    noisy = (page(12, 200) + noise).clip(0, 255).round().astype(np.uint8)
    assert estimator().estimate(noisy).noise_level > 8


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_photo_with_much_noise_is_sure(scale: int):
    assert estimator(scale).estimate(lr(f"gaussian:{0.6 * scale}", 30, "astronaut", scale)).is_sure


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["astronaut", "camera"])
@pytest.mark.parametrize("noise_level", [0, 10])
def test_blur_and_noise_of_photos_are_found(name: str, noise_level: int, scale: int):
    width = 0.6 * scale
    found = estimator(scale).estimate(lr(f"gaussian:{width}", noise_level, name, scale))
    assert found.is_sure
    assert np.hypot(*found.widths) / 2**0.5 == pytest.approx(width, abs=(0.1 if noise_level == 0 else 0.2) * scale)
    assert found.noise_level == pytest.approx(noise_level, abs=1)


@pytest.mark.parametrize("quality", [98, 92])
def test_noise_is_found_in_a_jpeg_whose_tables_are_told(quality: int):
    tables = JpegTables.of_quality(quality)  # in 4:2:0, which removes noise from the colours
    compressed = compress_array(lr("gaussian:1.6", 8, "astronaut"), tables)
    found, untold = (srmd.estimate(compressed, scale=2, jpeg=jpeg) for jpeg in (tables, None))
    assert found.noise_level == pytest.approx(8, abs=1.5)
    assert abs(found.noise_level - 8) < abs(untold.noise_level - 8)
    assert np.hypot(*found.widths) / 2**0.5 == pytest.approx(1.6, abs=0.5)


def test_the_tables_are_told_for_each_window():
    tables = JpegTables.of_quality(90)
    compressed = compress_array(lr("gaussian:1.6", 8), tables)
    ((_, _, window),) = estimator().estimate_windows(compressed, 128, jpeg=tables)
    assert window == estimator().estimate(compressed, jpeg=tables) != estimator().estimate(compressed)


def test_the_direction_of_blur_is_found():
    found = estimator().estimate(lr("gaussian:2,0.8,30", 0, "astronaut"))
    assert found.angle == pytest.approx(30, abs=10)
    assert found.widths == pytest.approx((2, 0.8), abs=0.3)


def test_what_is_known_is_returned_and_used():
    picture = lr("gaussian:1.4", 6)
    known_noise = srmd.estimate(picture, 2, noise_level=6)
    assert known_noise.noise_level == 6
    assert known_noise.widths[0] == pytest.approx(1.4, abs=0.4)
    known_blur = srmd.estimate(picture, 2, kernel="gaussian:2,1,30")
    assert known_blur.kernel_spec == "gaussian:2,1,30"
    assert known_blur.noise_level == pytest.approx(6, abs=1)


def test_8_bits_16_bits_and_floats_give_equal_estimates():
    picture = lr(noise_level=4)
    found = {srmd.estimate(each, 2) for each in (picture, picture.astype(np.uint16) * 257, picture / 255)}
    found.add(srmd.estimate(Image.fromarray(picture), 2))  # whose pixels can't be written to
    assert len(found) == 1


def test_invisible_pixels_do_not_count():
    picture = lr()
    hidden = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    alpha[:, 64:] = 0
    transparent = np.dstack([np.where(alpha > 0, picture, hidden), alpha])
    assert srmd.estimate(transparent, 2).noise_level == 0


@pytest.mark.parametrize(("top", "left"), [(256, 512), (640, 640)])
def test_a_large_picture_is_estimated_from_its_detailed_places(top: int, left: int):
    flat = np.full((768, 768, 3), 128, np.uint8)
    flat[top : top + 128, left : left + 128] = lr("gaussian:1.4", 0, "astronaut")
    assert estimator().estimate(flat).widths[0] == pytest.approx(1.4, abs=0.25)


@pytest.mark.parametrize("shape", [(100, 4000), (4000, 100)])
def test_a_long_narrow_picture_is_estimated_from_its_detailed_places(shape: tuple[int, int]):
    strip = np.full((*shape, 3), 128, np.uint8)
    height, width = (min(length, 128) for length in shape)
    strip[-height:, -width:] = lr("gaussian:1.4", 0, "astronaut")[:height, :width]
    assert estimator().estimate(strip).widths[0] == pytest.approx(1.4, abs=0.25)


def test_a_picture_of_one_row_tells_nothing():
    assert not estimator().estimate(np.full((1, 300_000, 3), 128, np.uint8)).is_sure


def test_windows_cover_the_picture():
    picture, covered = lr()[:100, :120], np.zeros((100, 120), bool)
    for rows, columns, found in estimator().estimate_windows(picture, size=64, overlap=32):
        assert picture[rows, columns].shape == (64, 64, 3)
        assert isinstance(found, Estimate)
        covered[rows, columns] = True
    assert covered.all()
    assert len(estimator().estimate_windows(picture[:50, :50], 64, 32)) == 1


@pytest.mark.parametrize(
    ("widths", "angle", "spec"),
    [((0.2, 0.2), 0, "delta"), ((1.4, 1.4), 0, "gaussian:1.4"), ((1.4, 1.1), 30, "gaussian:1.4,1.1,30")],
)
def test_an_estimate_names_its_kernel(widths: tuple[float, float], angle: float, spec: str):
    assert Estimate(widths, angle, 0, 1).kernel_spec == spec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, "scale: expected a whole number from 1 to 4, found 5"),
        ({"scale": 2.0}, "scale: expected a whole number from 1 to 4, found 2.0"),
        ({"scale": 2, "noise_level": -1}, "noise_level: expected a number from 0 to 255, found -1"),
        ({"scale": 2, "kernel": "round"}, "kernel: expected delta"),
        ({"scale": 2, "jpeg": 101}, "jpeg: expected a quality from 1 to 100, JpegTables or None, found 101"),
    ],
)
def test_invalid_arguments_are_named(arguments: dict, message: str):
    with pytest.raises(srmd.InputError, match=message):
        srmd.estimate(lr(), **arguments)


def test_a_scale_may_be_a_whole_number_of_numpy():
    assert BlindEstimator(np.int64(2)).estimate(lr()) == estimator().estimate(lr())


@pytest.mark.parametrize("scale", ["2", 2.0, np.float32(2), True, 5])
def test_an_estimator_of_another_scale_is_refused(scale: object):
    with pytest.raises(srmd.InputError, match=r"^scale: expected a "):
        BlindEstimator(scale)


def test_the_file_of_an_estimator_may_be_a_text_and_is_named_in_errors(tmp_path: Path):
    path = str(estimator_file(2))
    assert BlindEstimator(2, path).estimate(lr()) == estimator().estimate(lr())
    with pytest.raises(srmd.InputError, match=r"^scale: expected a whole number from 1 to 4, found 7"):
        BlindEstimator(7, path)
    with pytest.raises(srmd.InputError, match=r"^weights: .*absent: expected a file, found no such file"):
        BlindEstimator(2, tmp_path / "absent")
    with pytest.raises(srmd.InputError, match=r"^weights: .*: expected an estimator of x3, found one of x2"):
        BlindEstimator(3, path)


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (32, 32, 4)])
def test_an_estimator_takes_arrays_of_three_channels(shape: tuple[int, ...]):
    with pytest.raises(srmd.InputError, match=f"^pixels: expected an array H×W×3, found {'×'.join(map(str, shape))}"):
        estimator().estimate(np.zeros(shape, np.uint8))


def test_a_quality_stands_for_its_standard_tables():
    compressed = compress_array(lr("gaussian:1.6", 8, "astronaut"), JpegTables.of_quality(60, "4:2:0"))
    tables = JpegTables.of_quality(60, "4:2:0")
    assert srmd.estimate(compressed, 2, jpeg=60) == srmd.estimate(compressed, 2, jpeg=tables)
    assert srmd.estimate(compressed, 2, jpeg=60) != srmd.estimate(compressed, 2)
