"""TIFF files of every kind of number, as tifffile writes and reads them: read correctly, or refused."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs  # noqa: F401 - tifffile needs it for compressed files
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from srmd.base.errors import InputError
from srmd.pictures.files import read_picture, upright_size

HEIGHT, WIDTH = 21, 35
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
RGB = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)
ALPHA = np.linspace(0.3, 1, HEIGHT * WIDTH).reshape(WIDTH, HEIGHT).T
ORIENTATION = 274
COMPRESSIONS = [None, "zlib", "lzw", "packbits"]


def to_type(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values of 0 to 1 in a type; signed and 32-bit integers use the range of 0 to 32767 and 0 to 65535."""
    top = {"u1": 255, "i1": 127, "u2": 65535, "i2": 32767, "u4": 65535, "i4": 65535}.get(dtype)
    return values.astype(dtype) if top is None else np.rint(values * top).astype(dtype)


def check(path: Path, colours: np.ndarray, tolerance: float) -> None:
    """The picture is right, or it is refused in words that say what it is."""
    try:
        picture = read_picture(path)
    except InputError as error:
        message = str(error)
        if not any(words in message for words in ("this kind of TIFF", "separate planes", "big-endian values")):
            raise
        return
    expected = np.repeat(colours[..., None], 3, 2) if colours.ndim == 2 else colours
    np.testing.assert_allclose(picture.as_floats(), expected, atol=tolerance)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_is_right_or_refused(tmp_path: Path, photometric: str, dtype: str, byteorder: str, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, to_type(RAMP, dtype), photometric=photometric, byteorder=byteorder, compression=compression)
    white = 32767 / 65535 if dtype == "i2" else 1  # whole numbers are not scaled
    expected = white * RAMP if photometric == "minisblack" else 1 - white * RAMP
    check(path, expected, 0.5 / 255 + 1e-6 if dtype == "u1" else 2e-5)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("alpha", [None, "unassalpha", "assocalpha"])
def test_colours_are_right_or_refused(
    tmp_path: Path, alpha: str | None, planes: str, dtype: str, byteorder: str, compression
):
    path = tmp_path / "a.tif"
    colours = RGB * ALPHA[..., None] if alpha == "assocalpha" else RGB
    channels = colours if alpha is None else np.dstack([colours, ALPHA])
    values = to_type(channels, dtype)
    options = {"byteorder": byteorder, "compression": compression, "photometric": "rgb", "planarconfig": planes}
    if alpha:
        options["extrasamples"] = [alpha]
    tifffile.imwrite(path, np.moveaxis(values, -1, 0) if planes == "separate" else values, **options)
    check(path, RGB, 4.5 / 255)  # alpha of .3 leaves that error


KINDS_THAT_ARE_READ = [  # type, byte order, compression, photometric interpretation
    ("u2", "<", None, "minisblack"),
    ("u2", ">", None, "minisblack"),
    ("u2", "<", "zlib", "miniswhite"),
    ("u2", "<", None, "miniswhite"),
    ("i2", ">", None, "minisblack"),
    ("f4", "<", "lzw", "minisblack"),
    ("f4", "<", None, "miniswhite"),
    ("f4", ">", None, "miniswhite"),
]


@pytest.mark.parametrize(("dtype", "byteorder", "compression", "photometric"), KINDS_THAT_ARE_READ)
def test_these_kinds_are_read_with_16_bits(tmp_path: Path, dtype: str, byteorder: str, compression, photometric: str):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, to_type(RAMP, dtype), photometric=photometric, byteorder=byteorder, compression=compression)
    picture = read_picture(path)
    assert (picture.pixels.dtype, picture.grey) == (np.uint16, True)


def test_white_is_zero_gives_equal_pictures_with_8_and_with_16_bits(tmp_path: Path):
    values = np.rint(RAMP * 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "8.tif", values, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "16.tif", values.astype(np.uint16) * 257, photometric="miniswhite")
    pictures = [read_picture(tmp_path / name).as_floats() for name in ("8.tif", "16.tif")]
    np.testing.assert_allclose(*pictures, atol=1e-9)
    np.testing.assert_allclose(pictures[0][..., 0], 1 - values / 255, atol=1e-9)


def test_12_bits_are_scaled_to_16(tmp_path: Path):
    """A TIFF by its specification, because tifffile writes no 12 bits: two pixels in three bytes."""
    values = np.array([[0, 4095, 2048, 1]])
    packed = b"".join(bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255)) for a, b in values.reshape(-1, 2).tolist())
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, len(packed))]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        number.to_bytes(2, "little")
        + b"\4\0\1\0\0\0"
        + (value or start if number == 273 else value).to_bytes(4, "little")
        for number, value in tags
    )
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + b"\0\0\0\0" + packed)
    np.testing.assert_array_equal(tifffile.imread(path), values)
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], np.rint(values * 65535 / 4095))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4"])
def test_negative_values_are_refused(tmp_path: Path, dtype: str):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-1, 2], [3, 4]], dtype), photometric="minisblack")
    with pytest.raises(InputError, match=r"a\.tif: expected grey values of 0 to"):
        read_picture(tmp_path / "a.tif")


def test_a_kind_that_can_not_be_read_is_described(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", RGB.astype(np.float64), photometric="rgb")
    with pytest.raises(InputError, match=r"can't be read: 3 × 64 bits per pixel, float, PhotometricInterpretation 2"):
        read_picture(tmp_path / "a.tif")


def test_grey_premultiplied_by_alpha_is_read(tmp_path: Path):
    values = np.dstack([to_type(RAMP * ALPHA, "u1"), to_type(ALPHA, "u1")])
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"]
    )
    picture = read_picture(tmp_path / "a.tif")
    assert picture.grey
    np.testing.assert_allclose(picture.as_floats()[..., 0], RAMP, atol=4.5 / 255)
    np.testing.assert_array_equal(picture.alpha, values[..., 1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_is_turned_upright(tmp_path: Path, channels: int, orientation: int):
    """Expected is what Pillow's own function makes of the pixels. Pillow mixed up rows of files that it mapped."""
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8).squeeze()
    image = Image.fromarray(values)
    image.getexif()[ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    photometric = "minisblack" if channels == 1 else "rgb"
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    for compression in COMPRESSIONS:
        options = {"photometric": photometric, "compression": compression, **extra}
        tifffile.imwrite(tmp_path / "a.tif", values, extratags=[(ORIENTATION, 3, 1, orientation, True)], **options)
        picture = read_picture(tmp_path / "a.tif")
        colours = picture.pixels[..., 0] if channels == 1 else picture.pixels
        found = colours if picture.alpha is None else np.dstack([colours, picture.alpha])
        np.testing.assert_array_equal(found, expected, str(compression))
        assert upright_size(tmp_path / "a.tif") == expected.shape[:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content, _: content[:8], "the directory of the TIFF states no ImageWidth, ImageLength"),
        (lambda content, _: content[:4] + b"\xff\xff\xff\0" + content[8:], "states no ImageWidth, ImageLength"),
        (lambda content, entry: content[:entry] + b"\xe7\3" + content[entry + 2 :], "states no ImageWidth"),
        (lambda content, entry: content[: entry + 8] + bytes(4) + content[entry + 12 :], "states no ImageWidth"),
    ],
    ids=["cut off", "beyond the end", "without a width", "with width 0"],
)
def test_a_damaged_directory_is_told(tmp_path: Path, change: Callable[[bytes, int], bytes], message: str):
    Image.new("L", (9, 7)).save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    first_entry = int.from_bytes(content[4:8], "little") + 2
    (tmp_path / "a.tif").write_bytes(change(content, first_entry))
    with pytest.raises(InputError, match=rf"a\.tif: a broken picture \(.*{message}"):
        read_picture(tmp_path / "a.tif")
