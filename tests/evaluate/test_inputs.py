"""The HR pictures of a test, and the names of their result files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srmd.base.errors import InputError
from srmd.config import NamedMap
from srmd.config import TestRequest as Request
from srmd.evaluate.inputs import Inputs, result_names


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def picture(path: str, level: int = 0) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (20, 20), level).save(path)
    return Path(path)


def request(**fields: object) -> Request:
    return Request(**{"weights": Path("weights.safetensors"), "output": Path("out"), "kernel": []} | fields)


def names(*paths: str) -> list[str]:
    return list(result_names([Path(path) for path in paths]))


def test_a_result_is_named_after_its_input():
    assert names("a/bird.png", "b/head.jpg") == ["bird", "head"]


def test_inputs_that_share_a_stem_keep_their_suffix():
    assert names("bird.png", "bird.jpg", "head.png") == ["bird.png", "bird.jpg", "head"]


def test_no_two_inputs_share_a_result():
    paths = [Path(path) for path in ("a.jpg", "a.png", "a.jpg.png")]
    assert list(result_names(paths).values()) == paths


def test_the_pictures_of_a_folder_come_in_natural_order():
    for number in (10, 2, 1):
        picture(f"set/{number}.png", number)
    inputs = Inputs(request(test_data=Path("set")))
    assert [(name, int(p.pixels[0, 0, 0])) for name, p in inputs] == [("1", 1), ("2", 2), ("10", 10)]


def test_the_default_inputs_are_the_held_out_photos():
    inputs = Inputs(request(output=Path("out")))
    assert [name for name, _ in inputs] == ["astronaut", "chelsea", "coffee"]


@pytest.mark.parametrize("output", [".", "sub/.."])
def test_a_result_never_overwrites_an_input_picture(output: str):
    Path("sub").mkdir()
    original = picture("photo.png")
    with pytest.raises(InputError, match=r"output: .*would overwrite another file"):
        Inputs(request(test_data=original, output=Path(output)))
    with pytest.raises(InputError, match="would overwrite"):
        Inputs(request(test_data=picture("lr/photo.png"), output=Path(output), save_lr=True))


@pytest.mark.parametrize(
    "field", [{"regions": NamedMap(Path("photo.png"), np.zeros((1, 1)))}, {"save_kernel": Path("photo.png")}]
)
def test_a_result_never_overwrites_a_map_or_a_saved_kernel(field: dict):
    picture("photo.png")
    inputs_request = request(test_data=picture("photo.jpg"), output=Path())
    assert [name for name, _ in Inputs(inputs_request)] == ["photo"]
    with pytest.raises(InputError, match=r"output: .*would overwrite another file"):
        Inputs(replace(inputs_request, **field))


def test_a_broken_picture_is_named_and_left_out(caplog: pytest.LogCaptureFixture):
    picture("set/a.png")
    Path("set/broken.png").write_bytes(b"\x89PNG")
    assert [name for name, _ in Inputs(request(test_data=Path("set"), output=Path("out")))] == ["a"]
    assert "left out: test_data: set/broken.png" in caplog.text


def test_a_picture_that_is_too_small_to_score_is_named_and_left_out(caplog: pytest.LogCaptureFixture):
    picture("set/a.png")
    Image.new("L", (30, 15)).save("set/small.png")
    inputs = Inputs(request(test_data=Path("set"), output=Path("out")), min_side=16)
    assert [name for name, _ in inputs] == ["a"]
    assert "expected sides of at least 16 pixels, found 30×15" in caplog.text


def test_it_is_an_error_if_all_pictures_are_broken():
    Path("broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"test_data: broken\.png"):
        list(Inputs(request(test_data=Path("broken.png"), output=Path("out"))))


def test_pixels_are_read_unchanged():
    Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3)).save("a.png")
    ((_, read_picture),) = Inputs(request(test_data=Path("a.png"), output=Path("out")))
    assert np.array_equal(read_picture.pixels, np.arange(27).reshape(3, 3, 3))
