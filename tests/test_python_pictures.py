"""The Python interface takes pictures of many kinds, and returns pictures of the same kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import srmd
from picture_files import open_picture
from small_restorers import RGB, load_small
from srmd.pictures.transparency import is_constant, spread_visible_colours
from srmd.restore.jpeg import tables_of_pil


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> srmd.Restorer:
    return load_small(tmp_path_factory.mktemp("weights"))


def to_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


KINDS = {
    "uint8": RGB,
    "uint16": RGB.astype(np.uint16) * 257,
    "float32": (RGB / 255).astype(np.float32),
    "float64": RGB / 255,
    "grey uint8": RGB[..., 1],
    "grey float": RGB[..., 1] / 255,
    "alpha uint8": np.dstack([RGB, RGB[..., :1]]),
    "alpha float": np.dstack([RGB, RGB[..., :1]]) / 255,
    "tensor": to_tensor(RGB / 255).float(),
    "tensor float64": to_tensor(RGB / 255),
    "tensor bfloat16": to_tensor(RGB / 255).bfloat16(),
    "tensor uint8": to_tensor(RGB),
    "batch of one": to_tensor(RGB / 255)[None],
    "grey tensor": to_tensor(RGB / 255)[:1],
    "flat tensor": to_tensor(RGB / 255)[0],
    "tensor with alpha": to_tensor(np.dstack([RGB, RGB[..., :1]]) / 255),
    "RGB": Image.fromarray(RGB),
    "RGBA": Image.fromarray(RGB).convert("RGBA"),
    "L": Image.fromarray(RGB).convert("L"),
    "LA": Image.fromarray(RGB).convert("LA"),
    "I;16": Image.fromarray(RGB[..., 1].astype(np.uint16) * 257),
    "I": Image.fromarray(RGB[..., 1].astype(np.int32) * 257),
    "F, white is 1": Image.fromarray(RGB[..., 1].astype(np.float32) / 255),
    "F, white is 255": Image.fromarray(RGB[..., 1].astype(np.float32)),
    "RGB of greys": Image.fromarray(RGB[..., 1]).convert("RGB"),
    "uint8 of greys": np.dstack([RGB[..., 1]] * 3),
}


def kind(picture: Any) -> tuple:
    """The kind of a picture: its type, and mode or dtype and channels."""
    if isinstance(picture, Image.Image):
        return "PIL", picture.mode
    if isinstance(picture, torch.Tensor):
        return "tensor", picture.dtype, picture.shape[:-2]
    return "array", picture.dtype, picture.shape[2:]


def size(picture: Any) -> tuple[int, int]:
    """Height and width."""
    if isinstance(picture, Image.Image):
        return picture.size[::-1]
    return tuple(picture.shape[-2:] if isinstance(picture, torch.Tensor) else picture.shape[:2])


def values(picture: Any) -> np.ndarray:
    """The colours (H, W, 3) in 0 to 1; a grey picture has three equal channels."""
    if isinstance(picture, Image.Image):
        if picture.mode == "F":
            array = np.asarray(picture)
            return values(array / (1 if array.max() <= 1 else 255))
        has_16_bits = picture.mode[0] == "I"
        return values(np.asarray(picture).astype(np.uint16) if has_16_bits else np.asarray(picture.convert("RGB")))
    if isinstance(picture, torch.Tensor):
        channels = picture.float().reshape(-1, *picture.shape[-2:]) if picture.is_floating_point() else picture
        picture = np.ascontiguousarray(channels.reshape(-1, *picture.shape[-2:]).permute(1, 2, 0).numpy())
    white = {"uint8": 255, "uint16": 65535}.get(str(picture.dtype), 1)
    picture = picture[..., None] if picture.ndim == 2 else picture
    return np.broadcast_to(picture[..., : 1 if picture.shape[2] == 1 else 3] / white, (*picture.shape[:2], 3))


def alpha_of(picture: Any) -> np.ndarray | None:
    """Alpha (H, W) in 0 to 1."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture.getchannel("A")) / 255 if "A" in picture.mode else None
    if isinstance(picture, torch.Tensor):
        picture = picture.float().reshape(-1, *picture.shape[-2:]).permute(1, 2, 0).numpy()
    if picture.ndim == 2 or picture.shape[2] < 4:
        return None
    return picture[..., 3] / (255 if picture.dtype == np.uint8 else 1)


@pytest.mark.parametrize("name", KINDS)
def test_the_result_is_of_the_same_kind_as_the_picture(restorer: srmd.Restorer, name: str):
    picture = KINDS[name]
    sr = restorer.restore(picture, kernel="gaussian:1.0", noise_level=3)
    assert kind(sr) == kind(picture)
    assert size(sr) == (48, 40)
    colours, alpha = values(picture), alpha_of(picture)
    if alpha is not None:
        colours = spread_visible_colours(colours, alpha)
    expected = restorer.restore(colours, kernel="gaussian:1.0", noise_level=3)
    if (values(picture) == values(picture)[..., :1]).all():  # a grey result is the mean of the three channels
        expected = expected.mean(2, keepdims=True)
    assert np.abs(values(sr) - expected).max() < (0.02 if "bfloat16" in name else 0.006)
    lr = srmd.degrade(picture, kernel="gaussian:1.0")
    assert kind(lr) == kind(picture)
    assert size(lr) == (12, 10)


@pytest.mark.parametrize("name", ["alpha uint8", "alpha float", "tensor with alpha"])
def test_transparency_is_restored_as_a_grey_picture(restorer: srmd.Restorer, name: str):
    alpha = alpha_of(KINDS[name])
    difference = np.abs(
        alpha_of(restorer.restore(KINDS[name], "gaussian:1.0")) - restorer.restore(alpha, "gaussian:1.0")
    )
    varies = ~is_constant(alpha).repeat(2, 0).repeat(2, 1)
    assert varies.any()
    assert difference[varies].max() < 0.003


def test_a_pil_picture_keeps_its_profile_and_exif(restorer: srmd.Restorer, tmp_path: Path):
    exif = Image.Exif()
    exif[271] = "camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=profile, exif=exif)
    sr = restorer.restore(open_picture(tmp_path / "a.png"), "delta")
    assert sr.info["icc_profile"] == profile
    assert sr.getexif()[271] == "camera"


def test_damaged_exif_of_a_pil_picture_is_left_out(restorer: srmd.Restorer, tmp_path: Path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=b"Exif\0\0damaged")
    picture = open_picture(tmp_path / "a.jpg")
    for result in (srmd.degrade(picture, scale=2), restorer.restore(picture, "delta", 0, jpeg=None)):
        assert "exif" not in result.info
    assert "exif" in picture.info


def test_a_tensor_of_a_type_that_numpy_lacks_is_refused():
    with pytest.raises(srmd.InputError, match=r"^picture: expected a tensor of .*, found torch\.float8_e4m3fn$"):
        srmd.degrade(torch.zeros(3, 8, 8).to(torch.float8_e4m3fn), scale=2)


def test_a_broken_pil_picture_is_refused(restorer: srmd.Restorer, tmp_path: Path):
    Image.fromarray(RGB).resize((160, 160)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    for work in (restorer.restore, srmd.degrade):
        with Image.open(tmp_path / "a.jpg") as picture, pytest.raises(srmd.InputError, match=r"^picture: .*truncated"):
            work(picture)


def test_a_jpeg_that_is_read_at_a_smaller_size_has_no_tables(tmp_path: Path):
    Image.fromarray(RGB).resize((160, 160)).save(tmp_path / "a.jpg", quality=40)
    with Image.open(tmp_path / "a.jpg") as picture:
        assert tables_of_pil(picture) is not None
        picture.draft("RGB", (40, 40))
        assert picture.size == (40, 40)
        assert tables_of_pil(picture) is None
