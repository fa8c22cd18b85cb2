"""What PNG's chunks say of colours becomes a colour profile where the result is no PNG; lcms reads the profiles."""

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage.color import xyz2rgb

from picture_files import open_picture
from png_files import write_png
from srmd.pictures.files import read_picture, write_picture
from srmd.pictures.png_colours import profile_of_chunks

GAMMA_1 = (b"gAMA", struct.pack(">I", 100_000))
GAMMA_18 = (b"gAMA", struct.pack(">I", 55_556))
P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
SRGB_PRIMARIES = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
CICP_P3 = (b"cICP", bytes((12, 13, 0, 1)))
CICP_LINEAR = (b"cICP", bytes((1, 8, 0, 1)))
# RGB of linear light to XYZ with the white D65, from CSS Color 4, sample code, lin_P3_to_XYZ and lin_sRGB_to_XYZ.
P3_TO_XYZ = [[0.48657095, 0.26566769, 0.19821729], [0.22897456, 0.69173852, 0.07928691], [0, 0.04511338, 1.04394437]]
SRGB_TO_XYZ = [
    [0.41239080, 0.35758434, 0.18048079],
    [0.21263901, 0.71516868, 0.07219232],
    [0.01933082, 0.11919478, 0.95053215],
]
COLOURS = np.array(
    [[[255, 255, 255], [0, 0, 0], [128, 128, 128], [200, 120, 60], [60, 200, 120], [120, 60, 200]]], np.uint8
)


def srgb_to_light(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


KINDS = [  # chunks, from a value to light, from light to XYZ
    ((GAMMA_1,), lambda values: values, SRGB_TO_XYZ),
    ((GAMMA_18, SRGB_PRIMARIES), lambda values: values ** (100_000 / 55_556), SRGB_TO_XYZ),
    ((GAMMA_1, P3), lambda values: values, P3_TO_XYZ),
    ((CICP_P3,), srgb_to_light, P3_TO_XYZ),
    ((CICP_LINEAR, GAMMA_18), lambda values: values, SRGB_TO_XYZ),  # cICP comes before gAMA
]


def restore(path: Path, name: str) -> Path:
    """Writes a picture as the restoring modes do; returns the path."""
    picture = read_picture(path)
    write_picture(
        path.with_name(name), picture.pixels[..., :1] if picture.grey else picture.pixels, picture, picture.alpha
    )
    return path.with_name(name)


@pytest.mark.parametrize(("chunks", "to_light", "to_xyz"), KINDS)
def test_a_profile_gives_the_colours_of_the_chunks(tmp_path: Path, chunks: tuple, to_light, to_xyz, caplog):
    result = restore(write_png(tmp_path / "a.png", COLOURS, 2, 8, chunks), "b.tif")
    assert not caplog.text
    written = open_picture(result)
    np.testing.assert_array_equal(np.asarray(written), COLOURS)  # the pixels are unchanged
    with tifffile.TiffFile(result) as file:
        icc = file.pages[0].tags["InterColorProfile"].value
    imagecodecs.cms_profile_validate(icc)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(written, profile, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    expected = 255 * np.clip(xyz2rgb(to_light(COLOURS / 255) @ np.transpose(to_xyz)), 0, 1)
    np.testing.assert_allclose(np.asarray(shown), expected, atol=1.5)
    assert np.abs(expected - COLOURS).max() > 5  # without the profile other colours would be seen


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "tif"])
def test_every_format_with_profiles_gets_it(tmp_path: Path, suffix: str, caplog):
    path = write_png(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8), 2, 8, (GAMMA_1, P3))
    icc = open_picture(restore(path, f"b.{suffix}")).info["icc_profile"]
    assert icc == profile_of_chunks(dict((GAMMA_1, P3)), grey=False)
    assert not caplog.text


@pytest.mark.parametrize(
    ("suffix", "space"), [("jpg", b"GRAY"), ("tif", b"GRAY"), ("avif", b"GRAY"), ("webp", b"RGB ")]
)
def test_grey_gets_a_profile_for_grey_where_the_file_is_grey(tmp_path: Path, suffix: str, space: bytes):
    path = write_png(tmp_path / "a.png", np.full((8, 8), 128, np.uint8), 0, 8, (GAMMA_1,))
    written = open_picture(restore(path, f"b.{suffix}"))
    icc = written.info["icc_profile"]
    assert icc[16:20] == space
    assert written.mode == {b"GRAY": "L", b"RGB ": "RGB"}[space]
    profile, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    shown = np.asarray(ImageCms.profileToProfile(written, profile, srgb, outputMode="RGB"))
    np.testing.assert_allclose(shown, 188, atol=2)  # half of the light of white


def test_a_profile_for_grey_is_left_out_where_the_file_becomes_rgb(tmp_path: Path, caplog):
    image = Image.fromarray(np.full((8, 8), 128, np.uint8))
    image.save(tmp_path / "a.png", icc_profile=profile_of_chunks(dict([GAMMA_1]), grey=True))
    assert "icc_profile" in open_picture(restore(tmp_path / "a.png", "b.jpg")).info
    assert not caplog.text
    assert "icc_profile" not in open_picture(restore(tmp_path / "a.png", "b.webp")).info
    assert "b.webp: its colour profile is for GRAY, not for RGB pixels, and was left out" in caplog.text


NOT_DESCRIBED = [
    P3,  # without gAMA nothing says how values become light
    (b"cICP", bytes((9, 16, 0, 1))),  # PQ
    (b"cICP", bytes((9, 18, 0, 1))),  # HLG
    (b"cICP", bytes((12, 13, 1, 1))),  # YCbCr, which a PNG may not hold
    (b"cICP", bytes((12, 13, 0, 0))),  # values of 16 to 235
    (b"gAMA", struct.pack(">I", 0)),
]


@pytest.mark.parametrize("chunk", NOT_DESCRIBED)
def test_what_a_profile_can_not_describe_is_warned_of(tmp_path: Path, chunk: tuple, caplog):
    result = restore(write_png(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8), 2, 8, (chunk,)), "b.jpg")
    assert "b.jpg: JPEG can't hold how its PNG chunks describe colours" in caplog.text
    assert "icc_profile" not in open_picture(result).info


@pytest.mark.parametrize("numbers", [[0] * 8, [31270, 32900] * 4, [31270, 0, *[30000] * 6], [2**31] * 8])
def test_impossible_chromaticities_make_no_profile(numbers: list[int]):
    assert profile_of_chunks({b"gAMA": GAMMA_1[1], b"cHRM": struct.pack(">8I", *numbers)}, grey=False) is None


def test_a_format_without_profiles_is_warned_of(tmp_path: Path, caplog):
    restore(write_png(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8), 2, 8, (GAMMA_1,)), "b.bmp")
    assert "b.bmp: BMP can't hold how its PNG chunks describe colours" in caplog.text
