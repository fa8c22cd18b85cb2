"""Picture files are read correctly in every mode of Pillow, and folders are listed."""

import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from example_pictures import (
    CAMERA,
    HEIGHT,
    MAKER,
    ORIENTATION,
    WIDTH,
    alpha_image,
    colour_image,
    exif,
    grey_16_bits,
    grey_image,
    save,
    srgb_profile,
)
from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, upright_size, write_picture
from srmd.pictures.folders import list_pictures
from srmd.pictures.picture import Picture
from srmd.pictures.pillow import pillow_settings

TEXT_AS_ORIENTATION = b"\x01\x12\0\2\0\0\0\2" + b"6\0\0\0" + bytes(4)  # an entry of EXIF, in big-endian order


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tga", "ppm", "jp2", "qoi"])
def test_a_colour_picture_is_read_exactly(tmp_path, suffix):
    picture = read_picture(save(tmp_path, f"a.{suffix}", colour_image()))
    assert picture.pixels.dtype == np.uint8
    np.testing.assert_array_equal(picture.pixels, np.asarray(colour_image()))
    assert not picture.grey
    assert picture.alpha is None


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("avif", {})])
def test_a_lossy_picture_is_read_with_small_errors(tmp_path, suffix, options):
    picture = read_picture(save(tmp_path, f"a.{suffix}", colour_image(), **options))
    assert np.median(np.abs(picture.pixels - np.asarray(colour_image(), float))) < 12


def test_a_grey_picture_is_read_as_three_equal_channels(tmp_path):
    picture = read_picture(save(tmp_path, "a.png", grey_image()))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels, np.asarray(grey_image().convert("RGB")))


def test_a_one_bit_picture_is_grey_with_values_0_and_255(tmp_path):
    picture = read_picture(save(tmp_path, "a.png", grey_image().convert("1")))
    assert picture.grey
    assert set(np.unique(picture.pixels)) == {0, 255}


def test_grey_with_alpha_keeps_both(tmp_path):
    picture = read_picture(save(tmp_path, "a.png", Image.merge("LA", (grey_image(), alpha_image()))))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(grey_image()))
    np.testing.assert_array_equal(picture.alpha, np.asarray(alpha_image()))


def test_colour_with_alpha_keeps_both(tmp_path):
    image = colour_image()
    image.putalpha(alpha_image())
    picture = read_picture(save(tmp_path, "a.png", image))
    np.testing.assert_array_equal(picture.pixels, np.asarray(colour_image()))
    np.testing.assert_array_equal(picture.alpha, np.asarray(alpha_image()))


def test_a_palette_picture_is_read_as_its_colours(tmp_path):
    palette = colour_image().quantize(8)
    picture = read_picture(save(tmp_path, "a.png", palette))
    np.testing.assert_array_equal(picture.pixels, np.asarray(palette.convert("RGB")))
    assert not picture.grey
    assert picture.alpha is None


def test_a_picture_with_a_palette_of_greys_is_grey(tmp_path):
    assert read_picture(save(tmp_path, "a.png", grey_image().convert("RGB").quantize(8))).grey


def test_a_transparent_palette_colour_becomes_alpha(tmp_path):
    palette = colour_image().quantize(8)
    picture = read_picture(save(tmp_path, "a.png", palette, transparency=3))
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(palette) == 3)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_becomes_rgb(tmp_path, suffix):
    flat = Image.new("RGB", (WIDTH, HEIGHT), (200, 100, 50))
    picture = read_picture(save(tmp_path, f"a.{suffix}", flat.convert("CMYK")))
    np.testing.assert_allclose(picture.pixels[0, 0], (200, 100, 50), atol=3)


def test_the_profile_of_a_cmyk_picture_is_dropped_when_it_becomes_rgb(tmp_path):
    path = save(tmp_path, "a.tif", colour_image().convert("CMYK"), icc_profile=srgb_profile())
    assert read_picture(path).metadata.icc is None


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_read_exactly(tmp_path, suffix):
    picture = read_picture(save(tmp_path, f"a.{suffix}", Image.fromarray(grey_16_bits())))
    assert picture.grey
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels[..., 1], grey_16_bits())


def test_big_endian_16_bits_are_read_correctly(tmp_path):
    path = save(tmp_path, "a.tif", Image.fromarray(grey_16_bits().astype(">u2")))
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], grey_16_bits())


def test_whole_numbers_of_32_bits_are_taken_as_16_bits(tmp_path):
    path = save(tmp_path, "a.tif", Image.fromarray(grey_16_bits().astype(np.int32)))
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], grey_16_bits())


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_the_range_of_floats_is_the_smallest_that_holds_them(tmp_path, top):
    path = save(tmp_path, "a.tif", Image.fromarray((grey_16_bits() / 65535 * top).astype(np.float32)))
    np.testing.assert_allclose(read_picture(path).as_floats()[..., 0], grey_16_bits() / 65535, atol=1e-4)


@pytest.mark.parametrize("value", [70000, -1, np.nan])
def test_grey_values_out_of_every_range_are_refused(tmp_path, value):
    path = save(tmp_path, "a.tif", Image.fromarray(np.full((4, 4), value, np.float32)))
    with pytest.raises(InputError, match=r"a\.tif: expected grey values of 0 to 65535"):
        read_picture(path)


def test_rgb_of_16_bits_in_other_formats_than_png_is_read_as_8_bits(tmp_path):
    path = tmp_path / "a.ppm"  # Pillow does not write 16-bit PPM: a header line and the values
    path.write_bytes(b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + np.dstack([grey_16_bits()] * 3).astype(">u2").tobytes())
    np.testing.assert_allclose(read_picture(path).pixels[..., 0], grey_16_bits() / 257, atol=1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_a_picture_is_turned_upright_and_keeps_its_other_exif(tmp_path, suffix):
    image = Image.new("RGB", (WIDTH, HEIGHT), "red")
    image.paste("blue", (0, 0, WIDTH // 2, HEIGHT))  # the left half, which the turn clockwise moves to the top
    picture = read_picture(save(tmp_path, f"a.{suffix}", image, exif=exif(orientation=6)))
    assert picture.pixels.shape == (WIDTH, HEIGHT, 3)
    np.testing.assert_allclose(picture.pixels[0, 0], (0, 0, 255), atol=60)
    tags = Image.Exif()
    tags.load(picture.metadata.exif)
    assert ORIENTATION not in tags
    assert tags[MAKER] == "Maker"
    assert tags.get_ifd(CAMERA) == {33434: 0.01}


def test_damaged_exif_is_dropped(tmp_path):
    path = save(tmp_path, "a.jpg", colour_image(), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x02")
    picture = read_picture(path)
    assert picture.metadata.exif is None
    write_picture(tmp_path / "b.tif", picture.as_floats(), picture)


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    path = save(tmp_path, "a.gif", colour_image(), save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])
    assert read_picture(path).pixels.any()


def test_to_float_returns_0_to_1():
    for dtype in (np.uint8, np.uint16):
        values = Picture(np.array([[[0, 0, 0], [np.iinfo(dtype).max] * 3]], dtype)).as_floats()
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, [[[0, 0, 0], [1, 1, 1]]])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp", "bmp", "jp2"])
def test_a_truncated_picture_is_refused_with_its_name(tmp_path, suffix):
    path = save(tmp_path, f"cut.{suffix}", colour_image().resize((100, 80)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"cut\.{suffix}: a broken picture"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_a_file_that_is_no_picture_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: not a picture"):
        read_picture(tmp_path / "a.png")


def test_a_missing_file_and_a_folder_are_refused_with_their_name(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: .*no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(InputError, match="found a folder"):
        read_picture(tmp_path)


def bmp_with_header_only(tmp_path, width: int, height: int):
    """A BMP file whose header states this size, with too few pixels."""
    path = save(tmp_path, "large.bmp", colour_image())
    data = bytearray(path.read_bytes())
    data[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_picture_with_more_than_the_most_pixels_is_refused(tmp_path, side):
    with pytest.raises(InputError, match=rf"large\.bmp: expected at most 268,435,456 pixels .*, found {side**2:,}"):
        read_picture(bmp_with_header_only(tmp_path, side, side))


def test_a_picture_of_200_megapixels_is_not_refused_for_its_size(tmp_path, recwarn):
    path = bmp_with_header_only(tmp_path, 20_000, 10_000)
    path.write_bytes(path.read_bytes() + bytes(10**5))  # at least a byte for 2048 pixels
    with pytest.raises(InputError, match="broken picture"):
        read_picture(path)
    assert not recwarn.list


def test_pictures_are_listed_in_natural_order_without_hidden_files_and_other_types(tmp_path):
    for name in ("img10.png", "img2.PNG", "Img1.jpg", ".hidden.png", "notes.txt", "pack.h5", "film.mpg", "page.eps"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["Img1.jpg", "img2.PNG", "img10.png"]


def test_a_folder_without_pictures_is_refused_with_the_suffixes_found(tmp_path):
    with pytest.raises(InputError, match="found no file"):
        list_pictures(tmp_path)
    for name in ("a.txt", "b.txt", "c.mat"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"found 2 \.txt, 1 \.mat"):
        list_pictures(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="expected a folder of pictures, found no such folder"):
        list_pictures(tmp_path / "none")
    with pytest.raises(InputError, match="found a file"):
        list_pictures(tmp_path / "a.png")


def test_pictures_in_subfolders_are_listed_if_asked_for(tmp_path):
    names = ["b/2.png", "b/10.png", "a.png", "c/d/e.png", ".hidden/f.png", "b/.g.png", "b/notes.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path, recursive=True)]
    assert found == ["a.png", "b/2.png", "b/10.png", "c/d/e.png"]
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png"]


def test_reading_exif_does_not_change_the_warnings_of_other_threads(tmp_path, monkeypatch):
    """While one thread checked EXIF, small defects of pictures that others read counted as damage."""
    path = save(tmp_path, "a.jpg", colour_image(), exif=exif(orientation=6))
    load, filters = Image.Exif.load, []

    def load_and_note_filters(loaded: Image.Exif, data: bytes) -> None:
        filters.append(list(warnings.filters))
        load(loaded, data)

    monkeypatch.setattr(Image.Exif, "load", load_and_note_filters)
    with pillow_settings():
        expected = list(warnings.filters)
        read_picture(path)
    assert filters
    assert all(noted == expected for noted in filters)


def test_two_threads_that_read_pictures_restore_the_settings_that_they_found():
    """With `catch_warnings` in each thread, the one that ends last would restore the settings of the other."""
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    first, second = pillow_settings(), pillow_settings()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert Image.MAX_IMAGE_PIXELS is None
    assert list(warnings.filters) != filters
    second.__exit__(None, None, None)
    assert list(warnings.filters) == filters
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("orientation", [1, 5, 6, 8, 0, 9, 255])  # the last three mean nothing
def test_the_size_in_the_header_is_that_of_the_picture_that_is_read(tmp_path, suffix, orientation):
    path = save(tmp_path, f"a.{suffix}", colour_image(), exif=exif(orientation))
    assert upright_size(path) == read_picture(path).pixels.shape[:2]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("data", [b"Exif\0\0damaged", b"MM\0*\0\0\0\b\0\1" + TEXT_AS_ORIENTATION])
def test_damaged_exif_leaves_a_picture_as_it_is(tmp_path, suffix, data):
    path = save(tmp_path, f"a.{suffix}", colour_image(), exif=data)
    assert upright_size(path) == (HEIGHT, WIDTH)
    assert read_picture(path).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("options", [{}, {"exif": b"Exif\0\0damaged"}])
@pytest.mark.parametrize("suffix", ["tif", "webp", "png", "jpg"])
def test_the_orientation_of_xmp_counts_where_there_is_no_other(tmp_path, suffix, options):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options = {"tiffinfo": {700: xmp}} if suffix == "tif" else options | {"xmp": xmp}
    if suffix == "png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = options | {"pnginfo": text}
    path = save(tmp_path, f"a.{suffix}", colour_image(), **options)
    assert upright_size(path) == read_picture(path).pixels.shape[:2]
