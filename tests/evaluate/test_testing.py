"""Whole tests, in this process, of networks that were trained for one step."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from default_pca import default_pca
from picture_files import open_picture
from published import NCNN, PCA, SET5, needs_networks, needs_set5
from small_runs import train
from srmd.cli import main
from srmd.kernel.families import gaussian
from srmd.kernel.window import fit_kernel
from srmd.model import SRMD, NetworkConfig
from srmd.pictures import photos
from srmd.weights.files import Weights, write_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures", "short_runs")


def check(*flags: str) -> int:
    return main.main(["--mode=test", "--output=result", "--precision=fp32", "--visdom=off", *flags])


def metrics() -> dict:
    return json.loads(Path("result/metrics.json").read_text())


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> str:
    """A network that was trained for one step: near to nearest-neighbour upscaling."""
    assert train("run", "--steps=1", *getattr(request, "param", "").split()) == 0
    return "--weights=run/last.safetensors"


def test_hr_pictures_are_degraded_restored_and_scored(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--noise_level=5", "--save_lr") == 0
    written = metrics()
    assert written["degradation"] == {"kernel": "gaussian:1.3", "noise_level": 5, "downsampler": "bicubic"}
    assert written["assumed"] == {"kernel": "gaussian:1.3", "noise_level": 5}
    assert [image["name"] for image in written["images"]] == ["a", "b", "c"]
    assert written["images"][0].keys() == written["mean"].keys() | {"name"}
    assert written["mean"]["psnr_y"] == pytest.approx(np.mean([image["psnr_y"] for image in written["images"]]))
    assert written["scale"] == 2
    assert written["version"]
    assert written["command"].startswith("python main.py --mode=test --output=result")
    assert open_picture("result/a.png").size == (84, 72)
    assert open_picture("result/lr/a.png").size == (42, 36)
    assert open_picture("result/compare/a.png").size[0] >= 4 * 84 + 12  # wider where labels need it
    printed = capsys.readouterr().out
    assert "applied: kernel gaussian:1.3, noise level 5" in printed
    assert "assumed: kernel gaussian:1.3 (kernel code error 0.7%), noise level 5" in printed
    assert "warning" not in printed
    assert "rounded to 8 bits" in printed


def test_the_assumed_kernel_changes_sr_but_not_lr(trained: str):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3") == 0
    right = metrics()["mean"]
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--assumed_kernel=delta") == 0
    wrong = metrics()
    assert wrong["assumed"]["kernel"] == "delta"
    assert wrong["mean"]["bicubic_psnr_y"] == right["bicubic_psnr_y"]  # the applied degradation is the same
    assert wrong["mean"]["psnr_y"] != right["psnr_y"]


def test_a_kernel_is_applied_as_a_correlation(trained: str):
    """A kernel whose peak is two columns to the right moves the picture two columns to the left."""
    shifted = np.zeros((15, 15))
    shifted[7, 9] = 1  # correlation: each pixel takes its value from two columns to the right
    np.save("shifted.npy", shifted)
    hr = np.asarray(open_picture("pictures/a.png"))
    Path("moved").mkdir()
    Image.fromarray(np.concatenate([hr[:, 2:], hr[:, -1:], hr[:, -1:]], 1)).save("moved/a.png")
    assert check(trained, "--test_data=pictures/a.png", "--kernel=shifted.npy", "--save_lr") == 0
    lr = np.asarray(open_picture("result/lr/a.png")).astype(int)
    assert check(trained, "--test_data=moved", "--kernel=delta", "--save_lr") == 0
    assert np.abs(lr - np.asarray(open_picture("result/lr/a.png"))).max() <= 1


@pytest.mark.parametrize("trained", ["--noise_free"], indirect=True)
def test_srmdnf_is_told_no_noise_level(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--noise_level=25") == 0
    assert capsys.readouterr().out.count("warning") == 1
    assert metrics()["assumed"]["noise_level"] == 0
    assert check(trained, "--input", "pictures", "--kernel=delta", "--noise_level=25") == 2
    assert capsys.readouterr().err.startswith("--noise_level:")


def test_a_picture_that_is_left_out_makes_the_test_fail(trained: str, capsys: pytest.CaptureFixture):
    Path("broken.png").write_bytes(b"\x89PNG")
    assert check(trained, "--input", "broken.png", "pictures/a.png", "--kernel=delta") == 1
    assert [image["name"] for image in metrics()["images"]] == ["a"]
    assert metrics()["summary"] == {"restored": 1, "skipped": 0, "left_out": 1}
    (left_out,) = metrics()["left_out"]
    assert left_out["input"] == "broken.png"
    assert "broken picture" in left_out["reason"] or "not a picture" in left_out["reason"]
    assert Path("result/a.png").exists()
    assert capsys.readouterr().err == "1 of 2 pictures were left out: broken.png\n"


def test_an_hr_picture_that_is_left_out_is_in_the_metrics_with_the_reason(trained: str):
    Image.new("RGB", (9, 9)).save("pictures/tiny.png")
    assert check(trained, "--test_data=pictures", "--kernel=delta") == 1
    (left_out,) = metrics()["left_out"]
    assert left_out["input"] == "pictures/tiny.png"
    assert left_out["reason"].startswith("expected sides of at least")


def test_an_hr_picture_that_a_noise_map_does_not_fit_is_left_out_alone(trained: str, capsys: pytest.CaptureFixture):
    for name, size in (("a", (64, 48)), ("b", (64, 50)), ("c", (64, 48))):
        open_picture("pictures/a.png").resize(size).save(f"pictures/{name}.png")
    np.save("noise.npy", np.full((48, 64), 5.0))
    assert check(trained, "--test_data=pictures", "--kernel=delta", "--noise_map=noise.npy") == 1
    assert [row["name"] for row in metrics()["images"]] == ["a", "c"]
    (left_out,) = metrics()["left_out"]
    assert left_out["input"] == "pictures/b.png"
    assert "expected 32×25 (LR) or 64×50 (HR) pixels, found 64×48" in left_out["reason"]
    assert "1 of 3 pictures were left out: pictures/b.png" in capsys.readouterr().err


@pytest.mark.parametrize("trained", ["--kernel_size=21"], indirect=True)
def test_a_gaussian_is_computed_for_the_networks_window(trained: str):
    for spec, size in (("gaussian:4", 21), ("delta", 15)):
        assert check(trained, "--test_data=pictures/a.png", f"--kernel={spec}", "--save_kernel=k.mat") == 0
        assert scipy.io.loadmat("k.mat")["kernel"].shape == (size, size)


def test_results_of_lr_pictures_are_named_after_them(trained: str):
    open_picture("pictures/a.png").convert("L").save("d.jpg")
    assert check(trained, "--input", "pictures", "d.jpg", "pictures/b.png", "--kernel=delta", "--noise_level=0") == 0
    assert metrics()["degradation"] is None
    assert metrics()["images"][0].keys() == {"name", "file", "seconds", "settings", "input"}
    assert metrics()["mean"].keys() == {"seconds"}
    assert sorted(path.name for path in Path("result").glob("*.png")) == ["a.png", "b.png", "c.png", "d.png"]
    assert open_picture("result/a.png").size == (168, 144)
    assert open_picture("result/d.png").mode == "L"


def test_a_scale_other_than_the_networks_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--scale_factor=3") == 2
    assert capsys.readouterr().err.startswith("--scale_factor: expected 2, the scale of run/last.safetensors, found 3")


def test_a_pca_that_is_not_needed_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--pca=pictures/a.png") == 2
    assert capsys.readouterr().err.startswith("--pca: not needed")


def test_a_large_kernel_is_applied_whole_and_assumed_cropped(trained: str, capsys: pytest.CaptureFixture):
    np.save("large.npy", gaussian(4.0, size=31))
    assert check(trained, "--test_data=pictures", "--kernel=large.npy") == 0
    warning = "large.npy is 31×31; the kernel code describes only its inner 15×15, which lacks 12% of its mass"
    assert warning in capsys.readouterr().out


def test_recentring_a_kernel_removes_the_shift_of_the_picture(trained: str, capsys: pytest.CaptureFixture):
    np.save("off.npy", np.stack([np.roll(gaussian(1.0), (3, 2), (0, 1)), gaussian(2.0)]))
    flags = ["--test_data=pictures/a.png", "--kernel=off.npy", "--kernel_index=0"]
    assert check(trained, *flags) == 0
    moved = metrics()
    assert "off.npy[0] shifts pictures" in capsys.readouterr().out
    assert check(trained, *flags, "--recentre_kernel", "--save_kernel=drawn/k.mat") == 0
    assert "shifts" not in capsys.readouterr().out
    centred = metrics()
    assert moved["degradation"]["kernel"] == "off.npy[0]"
    assert centred["degradation"]["kernel"] == "off.npy[0], recentred"
    assert centred["mean"]["bicubic_psnr_y"] > moved["mean"]["bicubic_psnr_y"] + 1
    saved = scipy.io.loadmat("drawn/k.mat")["kernel"]
    np.testing.assert_allclose(fit_kernel(saved, 15), gaussian(1.0), atol=2e-5)


def test_a_broken_or_tiny_picture_is_named(trained: str, capsys: pytest.CaptureFixture):
    Path("broken.png").write_bytes(Path("pictures/a.png").read_bytes()[:500])
    Image.new("RGB", (9, 9)).save("tiny.png")
    for flags in (["--test_data=broken.png"], ["--input", "broken.png", "--kernel=delta"], ["--test_data=tiny.png"]):
        assert check(trained, *flags) == 2
        error = capsys.readouterr().err
        assert error.startswith(flags[0].split("=")[0])
        assert "broken.png" in error or "tiny" in error


def test_a_large_kernel_code_error_is_warned_of(trained: str, capsys: pytest.CaptureFixture):
    np.save("box.npy", np.ones((5, 5)))
    assert check(trained, "--test_data=pictures/a.png", "--kernel=box.npy") == 0
    printed = capsys.readouterr().out
    assert "kernel code error 24.3%" in printed
    assert "warning: the network's kernel code describes the kernel box.npy badly" in printed


def test_a_kernel_that_is_zero_inside_the_networks_window_is_refused(trained: str, capsys: pytest.CaptureFixture):
    corner = np.zeros((31, 31))
    corner[0, 0] = 1
    np.save("corner.npy", corner)
    assert check(trained, "--test_data=pictures", "--kernel=corner.npy") == 2
    assert capsys.readouterr().err.startswith("--kernel: expected a sum of at least 0.1 in the inner 15×15")


def test_an_input_is_not_overwritten(trained: str, capsys: pytest.CaptureFixture):
    before = Path("pictures/a.png").read_bytes()
    assert check(trained, "--input", "pictures/a.png", "--kernel=delta", "--output=pictures") == 2
    assert "would overwrite another file" in capsys.readouterr().err
    assert Path("pictures/a.png").read_bytes() == before


@needs_networks
@needs_set5
def test_a_published_network_scores_as_published():
    """One number that depends on P, kernel orientation, noise draw, downsampling and metrics."""
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
    write_weights(Path("tiny.safetensors"), Weights(network, default_pca()))
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
