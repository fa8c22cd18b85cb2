"""Colour descriptions, EXIF, XMP, resolution and text are kept, changed to fit the result, or left out with a warning.

Results are read chunk by chunk, by libpng (in imagecodecs and pngfix), tifffile and exifread.
"""

import struct
import zlib
from pathlib import Path

import exifread
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from example_pictures import colour_image, exif, grey_image, save, srgb_profile
from picture_files import open_picture
from png_files import check_with_libpng, read_chunks, write_png
from srmd.pictures.files import read_picture, write_picture

GAMMA = (b"gAMA", struct.pack(">I", 100_000))
PRIMARIES = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))  # Display P3
CICP = (b"cICP", bytes((12, 13, 0, 1)))
SRGB = (b"sRGB", b"\1")
TEXTS = (
    (b"tEXt", b"Author\0somebody"),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"long " * 50)),
    (b"iTXt", b"Title\0\0\0de\0Titel\0" + "Bild mit ß".encode()),
)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" exif:PixelXDimension="16">'
    b"<exif:PixelYDimension>12</exif:PixelYDimension><dc:title>A title</dc:title></rdf:Description></x:xmpmeta>"
)
METADATA_FORMATS = ["png", "jpg", "tif", "webp", "avif"]


def gray_profile() -> bytes:
    """A profile whose header says that it is for grey pictures."""
    return srgb_profile()[:16] + b"GRAY" + srgb_profile()[20:]


def restore(path: Path, result: str, scale: int = 2) -> Path:
    """Writes a picture `scale` times as large as that of `path`, as the restoring modes do; returns the path."""
    picture = read_picture(path)
    pixels = picture.pixels.repeat(scale, 0).repeat(scale, 1)
    alpha = None if picture.alpha is None else picture.alpha.repeat(scale, 0).repeat(scale, 1)
    write_picture(path.with_name(result), pixels[..., :1] if picture.grey else pixels, picture, alpha)
    return path.with_name(result)


PNG_KINDS = [(0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)]  # colour type and bit depth


@pytest.mark.parametrize(("colour_type", "depth"), PNG_KINDS)
def test_colour_chunks_and_texts_of_a_png_are_copied(tmp_path: Path, colour_type: int, depth: int):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    values = np.random.default_rng(0).integers(0, 2**depth, (4, 5, channels))
    colours = (GAMMA, PRIMARIES, CICP)
    path = write_png(tmp_path / "a.png", values, colour_type, depth, (*colours, *TEXTS[:2]), TEXTS[2:])
    result = restore(path, "b.png", scale=1)
    chunks = read_chunks(result)
    names = [name for name, _ in chunks]
    for kept in (*colours, *TEXTS):
        assert chunks.count(kept) == 1
        assert names.index(kept[0]) < names.index(b"IDAT")
    np.testing.assert_array_equal(imagecodecs.png_decode(result.read_bytes()), values.squeeze())
    check_with_libpng(result)


def test_the_chunk_srgb_is_copied_unless_a_profile_takes_its_place(tmp_path: Path):
    values = np.zeros((4, 5, 3), np.uint8)
    assert SRGB in read_chunks(restore(write_png(tmp_path / "a.png", values, 2, 8, (SRGB,)), "b.png"))
    profile = (b"iCCP", b"any name\0\0" + zlib.compress(srgb_profile()))
    both = restore(write_png(tmp_path / "a.png", values, 2, 8, (SRGB, profile)), "b.png")
    assert [name for name, _ in read_chunks(both)].count(b"iCCP") == 1
    assert SRGB not in read_chunks(both)
    check_with_libpng(both)


def test_chunks_that_are_damaged_or_double_are_left_out(tmp_path: Path):
    before = (GAMMA, (b"gAMA", struct.pack(">I", 45455)), (b"cICP", b"too long"))
    result = restore(write_png(tmp_path / "a.png", np.zeros((4, 5), np.uint8), 0, 8, before), "b.png")
    assert [chunk for chunk in read_chunks(result) if chunk[0] in (b"gAMA", b"cICP")] == [GAMMA]


def test_srgb_colours_are_not_warned_of(tmp_path: Path, caplog):
    srgb_gamma = (b"gAMA", struct.pack(">I", 45455))
    for chunks in ((SRGB,), (srgb_gamma,), ((b"cICP", bytes((1, 13, 0, 1))), GAMMA)):
        restore(write_png(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8), 2, 8, chunks), "b.jpg")
    assert not caplog.text


def test_a_profile_is_warned_of_in_formats_without_one(tmp_path: Path, caplog):
    restore(save(tmp_path, "a.png", colour_image(), icc_profile=srgb_profile()), "b.bmp")
    assert "b.bmp: BMP can't hold its colour profile" in caplog.text


PROFILES = [  # mode of the file, space of its profile, mode of the result, whether the profile fits
    ("RGB", "RGB", "RGB", True),
    ("RGB", "GRAY", "RGB", False),
    ("RGBA", "RGB", "RGBA", True),
    ("L", "GRAY", "L", True),
    ("L", "RGB", "L", False),
    ("LA", "GRAY", "LA", True),
    ("P", "RGB", "RGB", True),
    ("I;16", "GRAY", "I;16", True),
    ("I;16", "RGB", "I;16", False),
]


@pytest.mark.parametrize(("mode", "space", "result_mode", "fits"), PROFILES)
def test_a_profile_is_written_only_if_it_fits_the_channels(
    tmp_path: Path, mode: str, space: str, result_mode: str, fits: bool
):
    icc = srgb_profile() if space == "RGB" else gray_profile()
    grey = Image.fromarray(np.asarray(grey_image()).astype(np.uint16) * 257)
    image = grey if mode == "I;16" else grey_image().convert("RGB").convert(mode)
    path = save(tmp_path, "a.png", image, icc_profile=icc)
    result = restore(path, "b.png")
    written = open_picture(result)
    assert written.mode == result_mode
    assert written.info.get("icc_profile") == (icc if fits else None)
    assert (read_picture(path).warnings == ()) == fits
    check_with_libpng(result)


def test_a_damaged_profile_is_left_out_with_a_warning(tmp_path: Path):
    picture = read_picture(save(tmp_path, "a.png", colour_image(), icc_profile=b"no profile" * 20))
    assert picture.metadata.icc is None
    assert picture.warnings == ("its colour profile is damaged and was left out",)


def test_lab_becomes_srgb_without_its_profile(tmp_path: Path):
    lab = np.full((6, 8, 3), (150, 148, 108), np.uint8)  # L of 255, a + 128, b + 128: a pale violet
    a_and_b = (lab[..., 1:].astype(int) - 128).astype(np.int8).view(np.uint8)
    path = tmp_path / "a.tif"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    tags = [(34675, 7, len(profile), profile, True)]
    tifffile.imwrite(path, np.dstack([lab[..., :1], a_and_b]), photometric="cielab", extratags=tags)
    written = open_picture(restore(path, "b.png"))
    assert written.mode == "RGB"
    assert "icc_profile" not in written.info
    # The colour by skimage, which computes it without a profile; lcms differs by its white point.
    from skimage.color import lab2rgb

    expected = 255 * lab2rgb([[[int(lab[0, 0, 0]) * 100 / 255, 148 - 128, 108 - 128]]])[0, 0]
    np.testing.assert_allclose(np.asarray(written)[0, 0], expected, atol=5)


def test_cmyk_without_a_profile_is_warned_of(tmp_path: Path):
    warnings = read_picture(save(tmp_path, "a.tif", colour_image().convert("CMYK"))).warnings
    assert warnings == ("it is CMYK without a valid colour profile: its colours are approximate",)


def exif_with_thumbnail(width: int, height: int) -> bytes:
    """EXIF, by its specification: orientation, a camera IFD with the picture's size, and a JPEG thumbnail in IFD1."""

    def ifd(entries: list[tuple[int, int, int]], next_ifd: int) -> bytes:
        body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        return struct.pack("<H", len(entries)) + body + struct.pack("<I", next_ifd)

    thumbnail = b"\xff\xd8\xff\xe0 a thumbnail \xff\xd9"
    camera_at, first_at = 8, 8 + 30
    second_at = first_at + 30
    thumbnail_at = second_at + 30
    camera = ifd([(0xA002, 4, width), (0xA003, 4, height)], 0)
    first = ifd([(0x0112, 3, 6), (0x8769, 4, camera_at)], second_at)
    second = ifd([(0x0201, 4, thumbnail_at), (0x0202, 4, len(thumbnail))], 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", first_at) + camera + first + second + thumbnail


@pytest.mark.parametrize("suffix", METADATA_FORMATS)
def test_exif_states_the_new_size_and_holds_no_thumbnail(tmp_path: Path, suffix: str):
    path = save(tmp_path, "a.jpg", colour_image(), exif=exif_with_thumbnail(16, 12))
    with path.open("rb") as file:
        before = exifread.process_file(file)
    assert "JPEGThumbnail" in before
    assert before["EXIF ExifImageWidth"].values == [16]
    result = restore(path, f"b.{suffix}")
    assert b"a thumbnail" not in result.read_bytes()
    with Image.open(result) as image:
        written = image.getexif()
        assert dict(written.get_ifd(0x8769)) == {0xA002: 24, 0xA003: 32}  # twice the size, turned upright
        assert 0x0112 not in written  # the orientation
    if suffix in ("png", "jpg", "tif"):  # exifread finds none in a WebP or AVIF of Pillow
        with result.open("rb") as file:
            after = exifread.process_file(file)
        assert (after["EXIF ExifImageWidth"].values, after["EXIF ExifImageLength"].values) == ([24], [32])
        assert "JPEGThumbnail" not in after


@pytest.mark.parametrize("suffix", METADATA_FORMATS)
@pytest.mark.parametrize("source", ["png", "jpg", "tif", "webp"])
def test_xmp_is_kept_with_the_new_size(tmp_path: Path, source: str, suffix: str):
    options = {"tiffinfo": {700: XMP}} if source == "tif" else {"xmp": XMP}
    if source == "png":
        path = write_png(
            tmp_path / "a.png",
            np.asarray(colour_image()),
            2,
            before=((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),),
        )
    else:
        path = save(tmp_path, f"a.{source}", colour_image(), **options)
    result = restore(path, f"b.{suffix}")
    expected = XMP.replace(b'"16"', b'"32"').replace(b">12<", b">24<")
    assert result.read_bytes().count(expected) == 1
    assert open_picture(result).info["xmp"] == expected
    if suffix == "tif":
        with tifffile.TiffFile(result) as file:
            assert bytes(file.pages[0].tags[700].value) == expected


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("source", ["png", "jpg", "tif", "bmp"])
def test_the_resolution_is_kept(tmp_path: Path, source: str, suffix: str):
    result = restore(save(tmp_path, f"a.{source}", colour_image(), dpi=(300, 150)), f"b.{suffix}")
    assert open_picture(result).info["dpi"] == pytest.approx((300, 150), abs=0.5)
    if suffix == "png":
        assert (b"pHYs", struct.pack(">IIB", 11811, 5906, 1)) in read_chunks(result)
    if suffix == "tif":
        with tifffile.TiffFile(result) as file:
            numerator, denominator = file.pages[0].tags["XResolution"].value
            assert numerator / denominator == pytest.approx(300, abs=0.5)


@pytest.mark.parametrize("source", ["png", "jpg", "tif", "webp", "bmp"])
def test_no_resolution_is_made_up(tmp_path: Path, source: str):
    path = save(tmp_path, f"a.{source}", colour_image(), **({} if source == "bmp" else {"exif": exif(1)}))
    picture = read_picture(path)
    assert picture.metadata.dpi is None or source == "bmp"  # Pillow writes 96 into a BMP


def test_exif_too_long_for_jpeg_is_left_out_with_a_warning(tmp_path: Path, caplog):
    tags = Image.Exif()
    tags[270] = "x" * 70_000
    restore(save(tmp_path, "a.png", colour_image(), exif=tags.tobytes()), "b.jpg")
    assert "b.jpg: its EXIF data of 700" in caplog.text
    assert "exif" not in open_picture(tmp_path / "b.jpg").info


def frames_file(folder: Path, suffix: str) -> Path:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue", "green")]
    options = {"format": "MPO"} if suffix == "mpo" else {}
    return save(folder, f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif", "mpo"])
def test_of_several_pictures_the_first_is_read_with_one_warning(tmp_path: Path, suffix: str):
    picture = read_picture(frames_file(tmp_path, suffix))
    np.testing.assert_allclose(picture.pixels[0, 0], (255, 0, 0), atol=4)
    assert picture.warnings == ("it holds several pictures (frames or pages), of which the first is used",)


def test_a_file_with_one_picture_has_no_warning(tmp_path: Path):
    for suffix in ("gif", "png", "webp", "tif", "avif", "jpg"):
        assert read_picture(save(tmp_path, f"a.{suffix}", colour_image())).warnings == ()
