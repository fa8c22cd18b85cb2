"""Testing, in this process, of networks that have seen few steps."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from published import NCNN, PCA, SET5, needs_networks, needs_set5
from small_runs import train
from srmd.cli import main
from srmd.kernel.families import gaussian
from srmd.kernel.pca import pca_matrix
from srmd.kernel.window import fit_kernel
from srmd.model import SRMD, NetworkConfig
from srmd.pictures import photos
from srmd.weights.files import Weights, write_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures")


def check(*flags: str) -> int:
    return main.main(["--mode=test", "--output=result", "--precision=fp32", "--visdom=off", *flags])


def metrics() -> dict:
    return json.loads(Path("result/metrics.json").read_text())


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> str:
    """A network that has seen few steps: near to nearest-neighbour upscaling."""
    assert train("run", "--steps=1", *getattr(request, "param", "").split()) == 0
    return "--weights=run/last.safetensors"


def test_hr_pictures_are_degraded_restored_and_scored(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--noise_level=5", "--save_lr") == 0
    found = metrics()
    assert found["degradation"] == {"kernel": "gaussian:1.3", "noise_level": 5, "downsampler": "bicubic"}
    assert found["assumed"] == {"kernel": "gaussian:1.3", "noise_level": 5}
    assert [image["name"] for image in found["images"]] == ["a", "b", "c"]
    assert found["images"][0].keys() == found["mean"].keys() | {"name"}
    assert found["mean"]["psnr_y"] == pytest.approx(np.mean([image["psnr_y"] for image in found["images"]]))
    assert found["scale"] == 2
    assert found["version"]
    assert found["command"].startswith("python main.py --mode=test --output=result")
    assert Image.open("result/a.png").size == (84, 72)
    assert Image.open("result/lr/a.png").size == (42, 36)
    assert Image.open("result/compare/a.png").size[0] == 4 * 84 + 12
    said = capsys.readouterr().out
    assert "applied: kernel gaussian:1.3, noise 5" in said
    assert "assumed: kernel gaussian:1.3 (its code leaves out 0.7%), noise 5" in said
    assert "warning" not in said
    assert "rounded to 8 bits" in said


def test_what_is_assumed_is_told_and_what_is_applied_is_done(trained: str):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3") == 0
    right = metrics()["mean"]
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--assumed_kernel=delta") == 0
    wrong = metrics()
    assert wrong["assumed"]["kernel"] == "delta"
    assert wrong["mean"]["bicubic_psnr_y"] == right["bicubic_psnr_y"]  # the same was applied
    assert wrong["mean"]["psnr_y"] != right["psnr_y"]


def test_the_kernel_is_applied_where_it_points(trained: str):
    """A kernel that moves the picture by two columns: bicubic upscaling of its result is moved by two columns."""
    shifted = np.zeros((15, 15))
    shifted[7, 9] = 1  # correlation: each pixel takes its value from two columns to the right
    np.save("shifted.npy", shifted)
    hr = np.asarray(Image.open("pictures/a.png"))
    Path("moved").mkdir()
    Image.fromarray(np.concatenate([hr[:, 2:], hr[:, -1:], hr[:, -1:]], 1)).save("moved/a.png")
    assert check(trained, "--test_data=pictures/a.png", "--kernel=shifted.npy", "--save_lr") == 0
    lr = np.asarray(Image.open("result/lr/a.png")).astype(int)
    assert check(trained, "--test_data=moved", "--kernel=delta", "--save_lr") == 0
    assert np.abs(lr - np.asarray(Image.open("result/lr/a.png"))).max() <= 1


@pytest.mark.parametrize("trained", ["--noise_free"], indirect=True)
def test_a_noise_free_network_is_not_told_of_noise(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--noise_level=25") == 0
    assert capsys.readouterr().out.count("warning") == 1
    assert metrics()["assumed"]["noise_level"] == 0
    assert check(trained, "--input", "pictures", "--kernel=delta", "--noise_level=25") == 2
    assert capsys.readouterr().err.startswith("--noise_level:")


def test_a_picture_that_is_left_out_makes_the_test_a_failure(trained: str, capsys: pytest.CaptureFixture):
    Path("broken.png").write_bytes(b"\x89PNG")
    assert check(trained, "--input", "broken.png", "pictures/a.png", "--kernel=delta") == 1
    assert [image["name"] for image in metrics()["images"]] == ["a"]
    assert Path("result/a.png").exists()
    assert capsys.readouterr().err == "1 of 2 pictures were left out: broken\n"


@pytest.mark.parametrize("trained", ["--kernel_size=21"], indirect=True)
def test_a_gaussian_fills_the_window_of_a_network_that_has_a_larger_one(trained: str):
    for spec, size in (("gaussian:4", 21), ("delta", 15)):
        assert check(trained, "--test_data=pictures/a.png", f"--kernel={spec}", "--save_kernel=k.mat") == 0
        assert scipy.io.loadmat("k.mat")["kernel"].shape == (size, size)


def test_lr_pictures_are_restored_under_their_names(trained: str):
    Image.open("pictures/a.png").convert("L").save("pictures/a.jpg")
    assert check(trained, "--input", "pictures", "pictures/b.png", "--kernel=delta") == 0
    assert metrics()["degradation"] is None
    assert metrics()["images"][0].keys() == {"name", "seconds"}
    assert sorted(path.name for path in Path("result").glob("*.png")) == ["a.jpg.png", "a.png.png", "b.png", "c.png"]
    Path("more").mkdir()
    Path("more/b.png").write_bytes(Path("pictures/b.png").read_bytes())
    assert check(trained, "--input", "pictures", "more", "--kernel=delta") == 0
    assert {"more_b", "pictures_b"} < {image["name"] for image in metrics()["images"]}
    assert Image.open("result/a.png.png").size == (168, 144)
    assert Image.open("result/a.jpg.png").mode == "L"


def test_a_scale_that_is_not_the_networks_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--scale_factor=3") == 2
    assert capsys.readouterr().err.startswith("--scale_factor: run/last.safetensors is for x2, found 3")


def test_a_pca_that_is_not_needed_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--pca=pictures/a.png") == 2
    assert capsys.readouterr().err.startswith("--pca: not needed")


def test_a_large_kernel_is_applied_whole_and_told_cropped(trained: str, capsys: pytest.CaptureFixture):
    np.save("large.npy", gaussian(4.0, size=31))
    assert check(trained, "--test_data=pictures", "--kernel=large.npy") == 0
    assert "large.npy is 31×31; the network is told its inner 15×15, without 12% of its mass" in capsys.readouterr().out


def test_a_kernel_that_moves_pictures_restores_them_in_place_once_it_is_recentred(
    trained: str, capsys: pytest.CaptureFixture
):
    np.save("off.npy", np.stack([np.roll(gaussian(1.0), (3, 2), (0, 1)), gaussian(2.0)]))
    flags = ["--test_data=pictures/a.png", "--kernel=off.npy", "--kernel_index=0"]
    assert check(trained, *flags) == 0
    moved = metrics()
    assert "off.npy[0] shifts pictures" in capsys.readouterr().out
    assert check(trained, *flags, "--recentre_kernel", "--save_kernel=drawn/k.mat") == 0
    assert "shifts" not in capsys.readouterr().out
    centred = metrics()
    assert moved["degradation"]["kernel"] == "off.npy[0]"
    assert centred["degradation"]["kernel"] == "off.npy[0], re-centred"
    assert centred["mean"]["bicubic_psnr_y"] > moved["mean"]["bicubic_psnr_y"] + 1
    saved = scipy.io.loadmat("drawn/k.mat")["kernel"]
    np.testing.assert_allclose(fit_kernel(saved, 15), gaussian(1.0), atol=2e-5)


def test_a_broken_or_tiny_picture_is_named(trained: str, capsys: pytest.CaptureFixture):
    Path("broken.png").write_bytes(Path("pictures/a.png").read_bytes()[:500])
    Image.new("RGB", (9, 9)).save("tiny.png")
    for flags in (["--test_data=broken.png"], ["--input", "broken.png", "--kernel=delta"], ["--test_data=tiny.png"]):
        assert check(trained, *flags) == 2
        said = capsys.readouterr().err
        assert said.startswith(flags[0].split("=")[0])
        assert "broken.png" in said or "tiny" in said


def test_a_kernel_that_its_code_describes_badly_is_warned_of(trained: str, capsys: pytest.CaptureFixture):
    np.save("box.npy", np.ones((5, 5)))
    assert check(trained, "--test_data=pictures/a.png", "--kernel=box.npy") == 0
    assert "leaves out 24.3%" in (said := capsys.readouterr().out)
    assert "warning: the network's kernel code describes box.npy badly" in said


def test_a_kernel_of_which_the_network_would_see_nothing_is_refused(trained: str, capsys: pytest.CaptureFixture):
    corner = np.zeros((31, 31))
    corner[0, 0] = 1
    np.save("corner.npy", corner)
    assert check(trained, "--test_data=pictures", "--kernel=corner.npy") == 2
    assert capsys.readouterr().err.startswith("--kernel: expected the inner 15×15")


def test_an_original_is_not_written_over(trained: str, capsys: pytest.CaptureFixture):
    before = Path("pictures/a.png").read_bytes()
    assert check(trained, "--input", "pictures/a.png", "--kernel=delta", "--output=pictures") == 2
    assert "would overwrite what was given" in capsys.readouterr().err
    assert Path("pictures/a.png").read_bytes() == before


@needs_networks
@needs_set5
def test_a_published_network_scores_as_published():
    """P, orientation, noise draw, downsampling and metrics in one figure."""
    flags = [f"--weights={NCNN}/srmd_x4.param", f"--pca={PCA}"]
    flags += [f"--test_data={SET5}", "--kernel=gaussian:2.6,1.0,30", "--noise_level=15"]
    assert check(*flags) == 0
    assert metrics()["mean"]["psnr_y"] == pytest.approx(27.520, abs=0.002)
    assert metrics()["mean"]["ssim_y"] == pytest.approx(0.78636, abs=0.0001)


def test_a_perfect_result_is_null_in_the_metrics(trained: str):
    Image.new("RGB", (40, 40)).save("black.png")
    assert check(trained, "--test_data=black.png") == 0
    assert metrics()["mean"]["bicubic_psnr_y"] is None


def test_each_built_in_photo_is_decoded_once(monkeypatch: pytest.MonkeyPatch):
    network = SRMD(NetworkConfig(features=4, layers=3))
    write_weights(Path("tiny.safetensors"), Weights(network, torch.from_numpy(pca_matrix())))
    decode, decoded = photos._photo, []

    def counted(file: str) -> np.ndarray:
        decoded.append(file)
        return decode(file)[:48, :48]

    photos.builtin_test_pictures.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(photos, "_photo", counted)
        assert check("--weights=tiny.safetensors") == 0
    photos.builtin_test_pictures.cache_clear()
    assert sorted(decoded) == sorted(photos.TEST_PHOTOS)
