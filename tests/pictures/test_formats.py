"""The formats of restored pictures, and what they cannot hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.formats import can_be_written, check_size, format_of, lost_properties, result_suffix
from srmd.pictures.picture import Picture

RAMP = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
RGB16 = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], 2)
ALPHA = np.full((48, 64), 128, np.uint8)


@pytest.mark.parametrize(
    ("format_name", "source", "expected"),
    [
        ("png", "a.jpg", ".png"),
        ("jpg", "a.png", ".jpg"),
        ("tiff", "a", ".tiff"),
        ("keep", "a.JPEG", ".JPEG"),
        ("keep", "a.webp", ".webp"),
        ("keep", "a.bmp", ".bmp"),
        ("keep", "a.pgm", ".pgm"),
        ("keep", "a.pbm", ".png"),  # black and white
        ("keep", "a.gif", ".png"),  # 256 colours
        ("keep", "a.psd", ".png"),  # not written by Pillow
        ("keep", "a", ".png"),
    ],
)
def test_the_suffix_of_a_result_follows_from_the_format_and_the_source(format_name: str, source: str, expected: str):
    assert result_suffix(format_name, Path(source)) == expected


@pytest.mark.parametrize(
    ("suffix", "picture", "lost"),
    [
        (".png", Picture(RGB16, ALPHA), []),
        (".jpg", Picture(RGB16, ALPHA), ["transparency", "16 bits"]),
        (".jpg", Picture(np.zeros((4, 4, 3), np.uint8)), []),
        (".webp", Picture(RGB16, ALPHA), ["16 bits"]),
        (".avif", Picture(RGB16), ["16 bits"]),
        (".tiff", Picture(RGB16), ["16 bits"]),
        (".tiff", Picture(np.repeat(RAMP[..., None], 3, 2), grey=True), []),
        (".bmp", Picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)), ["transparency"]),
        (".gif", Picture(np.zeros((4, 4, 3), np.uint8)), ["more than 256 colours"]),
        (".gif", Picture(np.zeros((4, 4, 3), np.uint8), grey=True), []),
    ],
)
def test_what_a_format_cannot_hold_is_named_and_what_is_written_agrees(
    suffix: str, picture: Picture, lost: list[str], tmp_path: Path
):
    path = tmp_path / f"a{suffix}"
    assert lost_properties(format_of(path), picture) == lost
    pixels = picture.pixels[..., :1] if picture.grey else picture.pixels
    write_picture(path, pixels, picture, picture.alpha)
    written = read_picture(path)
    has_16_bits = written.pixels.dtype == np.uint16
    assert has_16_bits == (picture.pixels.dtype == np.uint16 and "16 bits" not in lost)
    assert (written.alpha is not None) == (picture.alpha is not None and "transparency" not in lost)


@pytest.mark.parametrize("suffix", [".webp", ".tiff", ".bmp"])
def test_16_bits_become_the_nearest_of_256_levels(suffix: str, tmp_path: Path):
    path = tmp_path / f"a{suffix}"
    write_picture(path, RGB16, Picture(RGB16), quality=100)
    difference = np.asarray(open_picture(path)) - RGB16 / 257
    assert np.abs(difference).max() <= (8 if suffix == ".webp" else 0.5)  # WebP's colours are subsampled


def test_a_transparent_16_bit_picture_is_laid_on_white_in_jpeg(tmp_path: Path):
    pixels = np.zeros((16, 16, 3), np.uint16)  # black, half opaque
    alpha = np.full((16, 16), 51, np.uint8)
    write_picture(tmp_path / "a.jpg", pixels, Picture(pixels, alpha), alpha)
    assert np.abs(np.asarray(open_picture(tmp_path / "a.jpg")).astype(int) - 204).max() <= 1


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_a_lower_quality_makes_a_smaller_file(suffix: str, tmp_path: Path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
    sizes = []
    for quality in (30, 95):
        write_picture(tmp_path / f"a{suffix}", pixels, quality=quality)
        sizes.append((tmp_path / f"a{suffix}").stat().st_size)
    assert sizes[0] < 0.7 * sizes[1]


@pytest.mark.parametrize(
    ("name", "width", "height", "found"),
    [("WEBP", 16384, 1, "16384×1"), ("JPEG", 1, 65501, "1×65501"), ("TIFF", 40000, 40000, "40000×40000")],
)
def test_a_picture_that_is_too_large_for_a_format_is_refused(name: str, width: int, height: int, found: str):
    with pytest.raises(InputError, match=found):
        check_size(name, width, height)


@pytest.mark.parametrize(("suffix", "side"), [(".webp", 16383), (".jpg", 65500)])
def test_the_largest_sides_are_those_that_can_be_written(suffix: str, side: int, tmp_path: Path):
    path = tmp_path / f"a{suffix}"
    write_picture(path, np.zeros((1, side, 3), np.uint8))
    assert open_picture(path).width == side
    check_size(format_of(path), side, 1)
    with pytest.raises(InputError):
        write_picture(path, np.zeros((1, side + 1, 3), np.uint8))
    with pytest.raises(InputError):
        check_size(format_of(path), side + 1, 1)


Image.init()
WRITTEN = sorted(suffix for suffix, name in Image.registered_extensions().items() if can_be_written(name))


def test_what_cannot_hold_every_colour_picture_is_not_written():
    assert not {".pdf", ".mpo", ".ico", ".xbm", ".eps"} & set(WRITTEN)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_colour_picture_is_written_in_every_other_format(suffix: str, tmp_path: Path):
    write_picture(tmp_path / f"a{suffix}", np.full((16, 20, 3), (0.8, 0.4, 0.2)))
    np.testing.assert_allclose(read_picture(tmp_path / f"a{suffix}").pixels[8, 8], (204, 102, 51), atol=4)
