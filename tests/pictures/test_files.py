"""Picture files: every mode that Pillow reads comes in rightly, and what came in goes out again."""

import struct
import zlib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageCms

from srmd.base.errors import InputError
from srmd.pictures.files import list_pictures, over_white, read_picture, write_picture
from srmd.pictures.picture import Picture

HEIGHT, WIDTH = 12, 16
ORIENTATION, MAKER, CAMERA, PLACE = 274, 271, 34665, 34853


def colours() -> Image.Image:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks.repeat(4, axis=0).repeat(4, axis=1))


def greys() -> Image.Image:
    return colours().convert("L")


def transparency() -> Image.Image:
    return Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH))


def deep_greys() -> np.ndarray:
    return np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)


def saved(folder, name: str, image: Image.Image, **options):
    image.save(folder / name, **options)
    return folder / name


def deep_colours(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)


def saved_deep(path, values: np.ndarray, exif: bytes = b"", exif_comes_last: bool = False):
    """A PNG of 16 bits, unfiltered, as the specification spells it out; (H, W, 2 to 4)."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"eXIf", exif.removeprefix(b"Exif\0\0")),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    if exif_comes_last:
        chunks[1], chunks[2] = chunks[2], chunks[1]
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        if data or kind != b"eXIf":
            file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(file)
    return path


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION], tags[MAKER], tags[CAMERA], tags[PLACE] = orientation, "Maker", {33434: 0.01}, {1: "N"}
    return tags.tobytes()


@cache  # a profile holds the second in which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tga", "ppm", "jp2", "qoi"])
def test_a_colour_picture_comes_as_it_is(tmp_path, suffix):
    picture = read_picture(saved(tmp_path, f"a.{suffix}", colours()))
    assert picture.pixels.dtype == np.uint8
    np.testing.assert_array_equal(picture.pixels, np.asarray(colours()))
    assert not picture.grey
    assert picture.alpha is None


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("avif", {})])
def test_a_lossy_picture_comes_nearly_as_it_is(tmp_path, suffix, options):
    picture = read_picture(saved(tmp_path, f"a.{suffix}", colours(), **options))
    assert np.median(np.abs(picture.pixels - np.asarray(colours(), float))) < 12


def test_a_grey_picture_comes_as_three_equal_channels(tmp_path):
    picture = read_picture(saved(tmp_path, "a.png", greys()))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels, np.asarray(greys().convert("RGB")))


def test_a_one_bit_picture_is_black_and_white_and_grey(tmp_path):
    picture = read_picture(saved(tmp_path, "a.png", greys().convert("1")))
    assert picture.grey
    assert set(np.unique(picture.pixels)) == {0, 255}


def test_grey_with_alpha_keeps_both(tmp_path):
    picture = read_picture(saved(tmp_path, "a.png", Image.merge("LA", (greys(), transparency()))))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(greys()))
    np.testing.assert_array_equal(picture.alpha, np.asarray(transparency()))


def test_colour_with_alpha_keeps_both(tmp_path):
    image = colours()
    image.putalpha(transparency())
    picture = read_picture(saved(tmp_path, "a.png", image))
    np.testing.assert_array_equal(picture.pixels, np.asarray(colours()))
    np.testing.assert_array_equal(picture.alpha, np.asarray(transparency()))


def test_a_palette_comes_as_its_colours(tmp_path):
    palette = colours().quantize(8)
    picture = read_picture(saved(tmp_path, "a.png", palette))
    np.testing.assert_array_equal(picture.pixels, np.asarray(palette.convert("RGB")))
    assert not picture.grey
    assert picture.alpha is None


def test_a_palette_of_greys_is_grey(tmp_path):
    assert read_picture(saved(tmp_path, "a.png", greys().convert("RGB").quantize(8))).grey


def test_a_transparent_palette_colour_becomes_alpha(tmp_path):
    palette = colours().quantize(8)
    picture = read_picture(saved(tmp_path, "a.png", palette, transparency=3))
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(palette) == 3)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_becomes_rgb(tmp_path, suffix):
    flat = Image.new("RGB", (WIDTH, HEIGHT), (200, 100, 50))
    picture = read_picture(saved(tmp_path, f"a.{suffix}", flat.convert("CMYK")))
    np.testing.assert_allclose(picture.pixels[0, 0], (200, 100, 50), atol=3)


def test_the_profile_of_a_cmyk_picture_is_not_kept_with_its_rgb_pixels(tmp_path):
    path = saved(tmp_path, "a.tif", colours().convert("CMYK"), icc_profile=srgb_profile())
    assert read_picture(path).icc is None


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_keeps_them(tmp_path, suffix):
    picture = read_picture(saved(tmp_path, f"a.{suffix}", Image.fromarray(deep_greys())))
    assert picture.grey
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels[..., 1], deep_greys())


def test_big_endian_16_bits_are_read_rightly(tmp_path):
    path = saved(tmp_path, "a.tif", Image.fromarray(deep_greys().astype(">u2")))
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], deep_greys())


def test_whole_numbers_of_32_bits_are_taken_as_16_bits(tmp_path):
    path = saved(tmp_path, "a.tif", Image.fromarray(deep_greys().astype(np.int32)))
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], deep_greys())


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_floats_are_read_by_the_range_they_fit(tmp_path, top):
    path = saved(tmp_path, "a.tif", Image.fromarray((deep_greys() / 65535 * top).astype(np.float32)))
    np.testing.assert_allclose(read_picture(path).to_float()[..., 0], deep_greys() / 65535, atol=1e-4)


@pytest.mark.parametrize("value", [70000, -1, np.nan])
def test_grey_values_out_of_every_range_are_refused(tmp_path, value):
    path = saved(tmp_path, "a.tif", Image.fromarray(np.full((4, 4), value, np.float32)))
    with pytest.raises(InputError, match=r"a\.tif: expected grey values of 0 to 65535"):
        read_picture(path)


def test_colour_of_16_bits_comes_as_8_from_other_formats_than_png(tmp_path):
    path = tmp_path / "a.ppm"  # Pillow writes no such file; this format is a line and the values
    path.write_bytes(b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + np.dstack([deep_greys()] * 3).astype(">u2").tobytes())
    np.testing.assert_allclose(read_picture(path).pixels[..., 0], deep_greys() / 257, atol=1)


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_of_16_bits_keeps_them_in_png(tmp_path, channels):
    values = deep_colours(channels)
    picture = read_picture(saved_deep(tmp_path / "a.png", values))
    np.testing.assert_array_equal(picture.pixels, values[..., :3])
    assert not picture.grey
    assert (picture.alpha is None) == (channels == 3)
    write_picture(tmp_path / "b.png", picture.to_float(), picture)
    again = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    np.testing.assert_array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("exif_comes_last", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_stand_upright_as_8_do(tmp_path, orientation, exif_comes_last):
    values = deep_colours(4)
    deep = read_picture(saved_deep(tmp_path / "a.png", values, exif(orientation), exif_comes_last))
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "b.png", exif=exif(orientation))
    shallow = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(deep.pixels >> 8, shallow.pixels)
    np.testing.assert_array_equal(deep.alpha, shallow.alpha)


def test_grey_of_16_bits_with_alpha_keeps_both(tmp_path):
    values = deep_colours(4)[..., 2:]
    picture = read_picture(saved_deep(tmp_path / "a.png", values))
    assert picture.grey
    np.testing.assert_array_equal(picture.pixels, np.repeat(values[..., :1], 3, 2))
    np.testing.assert_array_equal(picture.alpha, values[..., 1] >> 8)
    write_picture(tmp_path / "b.png", picture.to_float(), picture)
    assert (tmp_path / "b.png").read_bytes()[24:26] == b"\x10\x04"  # 16 bits, grey with alpha
    again = read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    np.testing.assert_array_equal(again.alpha, picture.alpha)


def test_colour_of_16_bits_stands_upright_and_keeps_profile_and_exif(tmp_path):
    values = deep_colours()
    picture = read_picture(saved_deep(tmp_path / "a.png", values, exif(orientation=6)))
    np.testing.assert_array_equal(picture.pixels, np.rot90(values, -1))
    write_picture(tmp_path / "b.png", picture.to_float(), replace(picture, icc=srgb_profile()))
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.info["icc_profile"] == srgb_profile()
        assert image.getexif()[MAKER] == "Maker"
        assert ORIENTATION not in image.getexif()
        np.testing.assert_array_equal(np.asarray(image), picture.pixels >> 8)


def test_a_broken_picture_of_16_bits_a_colour_is_said_to_be_broken(tmp_path):
    path = saved_deep(tmp_path / "a.png", deep_colours())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.png: a broken picture"):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp"])
def test_colour_of_16_bits_becomes_8_where_not_png(tmp_path, suffix):
    came = read_picture(saved_deep(tmp_path / "a.png", np.full((8, 8, 3), 30000, np.uint16)))
    write_picture(tmp_path / f"b.{suffix}", came.to_float(), came)
    np.testing.assert_allclose(read_picture(tmp_path / f"b.{suffix}").pixels, 117, atol=1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_a_turned_picture_stands_upright_and_keeps_its_other_exif(tmp_path, suffix):
    image = Image.new("RGB", (WIDTH, HEIGHT), "red")
    image.paste("blue", (0, 0, WIDTH // 2, HEIGHT))  # left half: after a turn to the right, the upper half
    picture = read_picture(saved(tmp_path, f"a.{suffix}", image, exif=exif(orientation=6)))
    assert picture.pixels.shape == (WIDTH, HEIGHT, 3)
    np.testing.assert_allclose(picture.pixels[0, 0], (0, 0, 255), atol=60)
    kept = Image.Exif()
    kept.load(picture.exif)
    assert ORIENTATION not in kept
    assert kept[MAKER] == "Maker"
    assert kept.get_ifd(CAMERA) == {33434: 0.01}


def test_broken_exif_is_left_behind(tmp_path):
    path = saved(tmp_path, "a.jpg", colours(), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x01\x02")
    picture = read_picture(path)
    assert picture.exif is None
    write_picture(tmp_path / "b.tif", picture.to_float(), picture)


def test_of_an_animation_the_first_frame_comes(tmp_path):
    path = saved(tmp_path, "a.gif", colours(), save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))])
    assert read_picture(path).pixels.any()


def test_to_float_reaches_from_0_to_1():
    for dtype in (np.uint8, np.uint16):
        values = Picture(np.array([[[0, 0, 0], [np.iinfo(dtype).max] * 3]], dtype)).to_float()
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, [[[0, 0, 0], [1, 1, 1]]])


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp", "bmp", "jp2"])
def test_a_truncated_picture_is_refused_by_name(tmp_path, suffix):
    path = saved(tmp_path, f"cut.{suffix}", colours().resize((100, 80)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"cut\.{suffix}: a broken picture"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: not a picture"):
        read_picture(tmp_path / "a.png")


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: .*no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(InputError, match="found a folder"):
        read_picture(tmp_path)


def header_of(tmp_path, width: int, height: int):
    """A BMP file that says to be of this size, and ends there."""
    path = saved(tmp_path, "large.bmp", colours())
    data = bytearray(path.read_bytes())
    data[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_a_decompression_bomb_is_refused(tmp_path, side):
    with pytest.raises(InputError, match=r"large\.bmp: expected at most 268 megapixels"):
        read_picture(header_of(tmp_path, side, side))


def test_a_picture_of_200_megapixels_is_no_bomb(tmp_path, recwarn):
    with pytest.raises(InputError, match="broken picture"):
        read_picture(header_of(tmp_path, 20_000, 10_000))
    assert not recwarn.list


def test_writing_clips_and_rounds(tmp_path):
    write_picture(tmp_path / "a.png", np.array([[[-1.0, 0.5, 2.0], [0.4 / 255, 0.6 / 255, 1.0]]]))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, [[[0, 128, 255], [0, 1, 255]]])


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_16_bits_survive_the_round_trip(tmp_path, suffix):
    came = read_picture(saved(tmp_path, "a.png", Image.fromarray(deep_greys())))
    write_picture(tmp_path / f"b.{suffix}", came.to_float(), came)
    picture = read_picture(tmp_path / f"b.{suffix}")
    np.testing.assert_array_equal(picture.pixels, came.pixels)
    assert picture.grey


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "avif"])
def test_16_bits_become_8_where_the_format_has_no_more(tmp_path, suffix):
    came = read_picture(saved(tmp_path, "a.png", Image.fromarray(deep_greys())))
    write_picture(tmp_path / f"b.{suffix}", came.to_float(), came)
    np.testing.assert_allclose(read_picture(tmp_path / f"b.{suffix}").to_float(), came.to_float(), atol=0.05)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_a_grey_picture_is_written_grey(tmp_path, suffix):
    came = Picture(np.zeros((8, 8, 3), np.uint8), grey=True)
    write_picture(tmp_path / f"a.{suffix}", np.full((8, 8, 3), (0.4, 0.5, 0.6)), came)
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.mode == "L"
        np.testing.assert_allclose(np.asarray(image), 128, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "avif", "tga"])
@pytest.mark.parametrize("grey", [False, True])
def test_alpha_is_put_back_at_the_new_size(tmp_path, suffix, grey):
    came = Picture(np.asarray(colours()), np.asarray(transparency()), grey)
    write_picture(tmp_path / f"a.{suffix}", np.full((2 * HEIGHT, 2 * WIDTH, 3), 0.5), came)
    alpha = read_picture(tmp_path / f"a.{suffix}").alpha
    expected = transparency().resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(alpha, np.asarray(expected, float), atol=4)


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "ppm"])
def test_a_transparent_picture_lies_on_white_where_the_format_has_no_alpha(tmp_path, suffix):
    came = Picture(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 51, np.uint8))
    write_picture(tmp_path / f"a.{suffix}", np.zeros((8, 8, 3)), came)
    np.testing.assert_allclose(read_picture(tmp_path / f"a.{suffix}").pixels, 204, atol=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_profile_and_exif_survive_the_round_trip(tmp_path, suffix):
    path = saved(tmp_path, f"a.{suffix}", colours(), icc_profile=srgb_profile(), exif=exif(orientation=1))
    came = read_picture(path)
    write_picture(tmp_path / f"b.{suffix}", came.to_float(), came)
    kept = read_picture(tmp_path / f"b.{suffix}")
    assert kept.icc == srgb_profile()
    tags = Image.Exif()
    tags.load(kept.exif)
    assert (tags[MAKER], tags.get_ifd(CAMERA), tags.get_ifd(PLACE)) == ("Maker", {33434: 0.01}, {1: "N"})


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.h5", "a.ico", "a.psd"])
def test_a_suffix_that_can_not_be_written_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="expected a suffix of a picture format"):
        write_picture(tmp_path / name, np.zeros((4, 4, 3)))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3)))
    before = (tmp_path / "a.png").read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_picture(tmp_path / "a.png", np.ones((4, 4, 3)))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_over_white_mixes_by_opacity():
    mixed = over_white(np.zeros((1, 3, 3)), np.array([[0, 51, 255]], np.uint8))
    np.testing.assert_allclose(mixed[0, :, 0], [1, 0.8, 0])


def test_pictures_are_listed_in_natural_order_without_hidden_and_other_files(tmp_path):
    for name in ("img10.png", "img2.PNG", "Img1.jpg", ".hidden.png", "notes.txt", "pack.h5", "film.mpg", "page.eps"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["Img1.jpg", "img2.PNG", "img10.png"]


def test_a_folder_without_pictures_is_refused_with_what_was_found(tmp_path):
    with pytest.raises(InputError, match="found no file"):
        list_pictures(tmp_path)
    for name in ("a.txt", "b.txt", "c.mat"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"found 2 \.txt, 1 \.mat"):
        list_pictures(tmp_path)


def test_no_folder_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="expected a folder of pictures, found no such folder"):
        list_pictures(tmp_path / "none")
    with pytest.raises(InputError, match="found a file"):
        list_pictures(tmp_path / "a.png")


def test_a_picture_that_is_too_large_for_the_format_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match=r"wide\.webp: WEBP can't hold this picture"):
        write_picture(tmp_path / "wide.webp", np.zeros((1, 16384, 3)))
    assert not list(tmp_path.iterdir())
