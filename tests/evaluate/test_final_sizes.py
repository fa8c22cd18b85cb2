"""Results of a size that is asked for: `--outscale` and `--size`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picture_files import open_picture
from small_restoring import exif_with_orientation, metrics, picture, restore, write_network
from srmd.base.paths import shipped_folder
from srmd.degradation import imresize


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


def test_outscale_is_the_result_of_the_network_resized_by_bicubic():
    picture("in/a.png", (40, 30))
    assert restore("--input", "in") == 0
    whole = torch.from_numpy(np.asarray(open_picture("out/a.png")) / 255).permute(2, 0, 1)[None]
    assert restore("--input", "in", "--outscale=1.5", "--overwrite") == 0
    resized = np.asarray(open_picture("out/a.png"))
    assert resized.shape == (45, 60, 3)
    expected = imresize(whole, 45, 60)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    assert np.abs(resized - expected).max() < 1.2  # `whole` was rounded before it was resized
    assert restore("--input", "in", "--outscale=2", "--overwrite") == 0
    assert np.array_equal(np.asarray(open_picture("out/a.png")), np.rint(whole[0].permute(1, 2, 0).numpy() * 255))


def test_a_resized_result_is_rounded_once():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    for name, values in (("8", pixels), ("16", pixels.astype(np.uint16) * 257)):
        Path("in").mkdir(exist_ok=True)
        Image.fromarray(values).save(f"in/{name}.png")
    assert restore("--input", "in", "--outscale=1.5") == 0
    coarse, fine = (np.asarray(open_picture(f"out/{name}.png")) for name in ("8", "16"))
    assert np.abs(coarse - fine / 257).max() < 0.51


@pytest.mark.parametrize(("mode", "bits"), [("L", 8), ("LA", 8), ("RGBA", 8), ("I;16", 16)])
def test_a_resized_result_keeps_channels_and_bits(mode: str, bits: int):
    if bits == 16:
        Path("in").mkdir()
        Image.fromarray(np.full((16, 20), 12345, np.uint16)).save("in/a.png")
    else:
        picture("in/a.png", mode=mode)
    assert restore("--input", "in", "--size=33×21") == 0
    assert open_picture("out/a.png").size == (33, 21)
    assert open_picture("out/a.png").mode == mode


def test_the_next_larger_network_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "weights").mkdir()
    shutil.copytree(shipped_folder("kernels"), tmp_path / "kernels")
    for scale in (1, 2, 4):
        write_network(f"weights/srmdnf_x{scale}.safetensors", scale)
    monkeypatch.setattr("srmd.base.paths.CHECKOUT", tmp_path)
    for name, size in (("small", (10, 8)), ("middle", (20, 16)), ("large", (60, 48)), ("turned", (8, 10))):
        options = {"exif": exif_with_orientation(6)} if name == "turned" else {}
        picture(f"in/{name}.png", size, **options)
    assert restore("--input", "in", "--size=40x32", "--noise_level=0", weights=None) == 0
    rows, settings = metrics()["images"], metrics()["settings"]
    assert {row["name"]: settings[row["settings"]]["scale"] for row in rows} == {
        "small": 4,
        "middle": 2,
        "large": 1,
        "turned": 4,
    }
    assert {open_picture(f"out/{row['file']}").size for row in rows} == {(40, 32)}
    for outscale, scale in (("1", 1), ("1.01", 2), ("3", 4)):
        assert (
            restore("--input", "in/small.png", f"--outscale={outscale}", "--noise_level=0", "--overwrite", weights=None)
            == 0
        )
        assert metrics()["scale"] == scale


def test_a_size_beyond_the_network_and_a_distorting_one_are_warned_of_once(capsys: pytest.CaptureFixture):
    picture("in/a.png", (20, 10))
    picture("in/b.png", (20, 10))
    assert restore("--input", "in", "--outscale=3") == 0
    output = capsys.readouterr().out
    assert output.count("warning: in/a.png: the network enlarges by 2 only; bicubic resizing does the rest\n") == 1
    assert output.count("warning") == 1
    assert restore("--input", "in", "--size=40x30", "--overwrite") == 0
    assert "warning: in/a.png: 20×10 becomes 40×30, which distorts it\n" in capsys.readouterr().out
    assert restore("--input", "in", "--size=31x15", "--overwrite") == 0  # as close as whole pixels allow
    assert "distorts" not in capsys.readouterr().out
