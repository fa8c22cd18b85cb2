"""Label pictures and noise maps: their files, their values on the LR grid, and commands that use them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from srmd.base.errors import InputError
from srmd.cli import main
from srmd.pictures.maps import check_labels, read_labels, read_noise_map, region_weights, to_lr_grid
from srmd.pictures.metrics import luma, psnr
from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[2]
NUMBERS = np.arange(24).reshape(4, 6) % 3


@pytest.fixture(autouse=True)
def _run_in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


# --- files


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_labels_are_the_numbers_stored_in_the_pixels(mode: str):
    image = Image.fromarray(NUMBERS.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])  # the label is the index, not its colour
    elif mode != "I;16":
        image = image.convert(mode)
    image.save("labels.png")
    assert open_picture("labels.png").mode == mode
    assert np.array_equal(read_labels(Path("labels.png")), NUMBERS)


def test_a_one_bit_picture_has_the_labels_0_and_1():
    Image.fromarray(NUMBERS > 1).save("labels.png")
    labels = read_labels(Path("labels.png"))
    check_labels(labels, 2)
    assert np.array_equal(labels, NUMBERS > 1)


def test_labels_are_turned_upright_by_their_exif_orientation():
    exif = Image.Exif()
    exif[274] = 6  # turn clockwise to stand upright
    Image.fromarray(NUMBERS.astype(np.uint8)).save("labels.png", exif=exif)
    assert np.array_equal(read_labels(Path("labels.png")), np.rot90(NUMBERS, -1))


def test_labels_with_damaged_exif_are_read():
    Image.fromarray(NUMBERS.astype(np.uint8)).save("labels.png", exif=b"Exif\0\0nonsense")
    assert np.array_equal(read_labels(Path("labels.png")), NUMBERS)


def test_an_eps_file_is_refused_without_starting_another_program():
    Image.new("RGB", (4, 4)).save("labels.eps")
    Path("labels.eps").rename("labels.png")
    with pytest.raises(InputError, match="not a picture of a known format"):  # Pillow would start Ghostscript
        read_labels(Path("labels.png"))


def test_a_label_without_a_kernel_is_refused():
    check_labels(NUMBERS, 3)
    with pytest.raises(InputError, match="value 2 has no kernel: 2 kernels cover the values 0 to 1"):
        check_labels(NUMBERS, 2)


def test_a_noise_map_is_read_from_a_grey_picture_or_an_npy_file():
    Image.fromarray((9 * NUMBERS).astype(np.uint8)).save("noise.png")
    np.save("noise.npy", 0.5 * NUMBERS)
    assert np.array_equal(read_noise_map(Path("noise.png")), 9 * NUMBERS)
    assert np.array_equal(read_noise_map(Path("noise.npy")), 0.5 * NUMBERS)


@pytest.mark.parametrize("found", ["16 bits", "not a picture", "0 to 300", "nan", "complex", "not an .npy"])
def test_a_file_that_is_no_noise_map_is_refused(found: str):
    Image.fromarray(NUMBERS.astype(np.uint16)).save("16 bits.png")
    Path("not a picture.png").write_text("text")
    Path("not an .npy.npy").write_text("text")
    np.save("0 to 300.npy", np.full((2, 2), 300) * np.eye(2))
    np.save("nan.npy", np.full((2, 2), np.nan))
    np.save("complex.npy", np.full((2, 2), 1j))
    (path,) = Path().glob(f"{found}.*")
    with pytest.raises(InputError, match=found):
        read_noise_map(path)


# --- sizes


def test_a_map_of_lr_size_is_unchanged_and_one_of_hr_size_is_averaged():
    assert np.array_equal(to_lr_grid(NUMBERS, (8, 12), 2), NUMBERS)
    averaged = to_lr_grid(NUMBERS, (4, 6), 2)
    assert averaged.shape == (2, 3)
    assert averaged[1, 2] == NUMBERS[2:4, 4:6].mean()
    assert np.array_equal(to_lr_grid(NUMBERS, (4, 6), 1), NUMBERS)


def test_rows_and_columns_that_fill_no_lr_pixel_are_cropped():
    averaged = to_lr_grid(NUMBERS, (4, 6), 4)
    assert averaged.shape == (1, 1)
    assert averaged[0, 0] == NUMBERS[:, :4].mean()


def test_a_map_of_another_size_is_refused_with_the_two_sizes_that_fit():
    with pytest.raises(InputError, match=r"expected 7×4 \(LR\) or 14×8 \(HR\) pixels, found 6×4"):
        to_lr_grid(NUMBERS, (8, 14), 2)


# --- weights


@pytest.mark.parametrize("blend", [0, 0.7, 3, 100])
@pytest.mark.parametrize("hr_size", [(8, 12), (4, 6)])
def test_region_weights_sum_to_one_in_every_pixel(blend: float, hr_size: tuple[int, int]):
    weights = region_weights(NUMBERS, 4, hr_size, 2, blend)
    assert weights.shape == (4, hr_size[0] // 2, hr_size[1] // 2)
    assert weights.min() >= 0
    assert np.allclose(weights.sum(0), 1, rtol=0, atol=1e-12)
    assert not weights[3].any()  # no pixel has this label


def test_without_blending_weights_are_the_shares_of_the_labels_in_each_lr_pixel():
    assert np.array_equal(region_weights(NUMBERS, 3, (8, 12), 2, 0).argmax(0), NUMBERS)
    halves = np.zeros((6, 6), int)
    halves[:, 3:] = 1
    assert np.array_equal(region_weights(halves, 2, (6, 6), 2, 0)[1], [[0, 0.5, 1]] * 3)


def test_blending_smooths_a_border_with_a_gaussian_of_that_width():
    halves = np.zeros((3, 80), int)
    halves[:, 40:] = 1
    weights = region_weights(halves, 2, (6, 160), 2, 4.0)[1]
    expected = [(1 + math.erf((column - 39.5) / (4 * math.sqrt(2)))) / 2 for column in range(80)]
    assert np.allclose(weights, expected, rtol=0, atol=1e-3)
    assert np.all(np.diff(weights) >= 0)


# --- whole commands

KERNELS = ["--kernel=gaussian:0.7", "--kernel=gaussian:2.2"]
MAPS = ["--regions=labels.png", "--noise_map=noise.png"]
UNIFORM = {  # the degradation of one half, assumed for the whole picture
    "left": ["--assumed_kernel=gaussian:0.7", "--assumed_noise_level=25"],
    "right": ["--assumed_kernel=gaussian:2.2", "--assumed_noise_level=3"],
}


def run_test_mode(*flags: str) -> dict:
    weights = f"--weights={ROOT}/weights/srmd_x2.safetensors"
    assert main.main(["--mode=test", weights, "--output=result", "--precision=fp32", "--visdom=off", *flags]) == 0
    return json.loads(Path("result/metrics.json").read_text())


def make_halves(height: int = 96, width: int = 128) -> np.ndarray:
    """A photo, and maps of its size: little blur and much noise on the left, the opposite on the right."""
    hr = builtin_test_pictures()["chelsea"][60 : 60 + height, 100 : 100 + width]
    right = np.zeros((height, width), np.uint8)
    right[:, width // 2 :] = 1
    Image.fromarray(hr).save("hr.png")
    Image.fromarray(right).save("labels.png")
    Image.fromarray(np.where(right, 3, 25).astype(np.uint8)).save("noise.png")
    return hr


def test_the_true_maps_restore_better_than_the_degradation_of_one_half(capsys: pytest.CaptureFixture):
    hr = make_halves()
    mapped = ["--test_data=hr.png", *KERNELS, *MAPS]
    uniform_scores = {name: run_test_mode(*mapped, *assumed)["mean"] for name, assumed in UNIFORM.items()}
    capsys.readouterr()
    truth = run_test_mode(*mapped, "--save_lr")
    assert truth["mean"]["psnr_y"] > max(scores["psnr_y"] for scores in uniform_scores.values()) + 0.5
    assert {scores["bicubic_psnr_y"] for scores in uniform_scores.values()} == {truth["mean"]["bicubic_psnr_y"]}
    assert truth["degradation"] == {
        "kernel": ["gaussian:0.7", "gaussian:2.2"],
        "noise_level": None,
        "downsampler": "bicubic",
        "regions": "labels.png",
        "region_blend": 0.0,
        "noise_map": "noise.png",
    }
    assert truth["assumed"] == {k: value for k, value in truth["degradation"].items() if k != "downsampler"}
    output = capsys.readouterr().out
    assert "applied: kernels gaussian:0.7, gaussian:2.2 in the regions of labels.png, noise levels 3 to 25" in output
    assert output.count("kernel code error") == 2

    lr_path = Path("result/lr/hr.png").rename("lr.png")

    def restored(*assumed: str) -> float:
        run_test_mode("--input", str(lr_path), "--overwrite", *assumed)
        return psnr(*(luma(np.asarray(picture) / 255) for picture in (open_picture("result/lr.png"), hr)))

    flags = {name: [flag.replace("assumed_", "") for flag in assumed] for name, assumed in UNIFORM.items()}
    assert restored(*KERNELS, *MAPS) > max(restored(*assumed) for assumed in flags.values()) + 0.5


def test_lr_in_each_region_equals_lr_of_a_uniform_degradation():
    make_halves()

    def lr(*flags: str) -> np.ndarray:
        run_test_mode("--test_data=hr.png", "--save_lr", *flags)
        return np.asarray(open_picture("result/lr/hr.png"))

    mixed = lr(*KERNELS, *MAPS)
    assert np.array_equal(mixed[:, :32], lr("--kernel=gaussian:0.7", "--noise_level=25")[:, :32])
    assert np.array_equal(mixed[:, 32:], lr("--kernel=gaussian:2.2", "--noise_level=3")[:, 32:])
    blended = lr(*KERNELS, *MAPS, "--region_blend=2").astype(int)
    assert np.array_equal(blended[:, :20], mixed[:, :20])
    assert np.abs(blended[:, 31:33] - mixed[:, 31:33]).max() > 1


def test_constant_maps_score_as_a_uniform_degradation():
    make_halves()
    Image.new("L", (128, 96), 7).save("noise.png")
    mapped = run_test_mode("--test_data=hr.png", "--kernel=delta", "--kernel=delta", *MAPS)["mean"]
    uniform = run_test_mode("--test_data=hr.png", "--kernel=delta", "--noise_level=7")["mean"]
    assert mapped["psnr_y"] == pytest.approx(uniform["psnr_y"], abs=1e-3)


@pytest.mark.parametrize("flag", ["--regions", "--noise_map"])
def test_maps_of_another_size_than_the_picture_are_refused_with_its_name_and_sizes(
    flag: str, capsys: pytest.CaptureFixture
):
    make_halves()
    Image.new("L", (50, 40)).save("small.png")
    maps = [f"{flag}=small.png" if map_flag.startswith(flag) else map_flag for map_flag in MAPS]
    for pictures in (["--test_data=hr.png"], ["--input", "hr.png"]):
        weights = f"--weights={ROOT}/weights/srmd_x2.safetensors"
        assert main.main(["--mode=test", weights, "--output=result", "--visdom=off", *pictures, *KERNELS, *maps]) == 2
        size = "64×48 (LR) or 128×96 (HR)" if "hr.png" in pictures[0] else "128×96 (LR) or 256×192 (HR)"
        error = capsys.readouterr().err
        assert error == f"{flag}: small.png for hr: expected {size} pixels, found 50×40\n"


def test_a_noise_free_network_refuses_a_noise_map_for_lr_pictures_and_warns_for_hr_pictures(
    capsys: pytest.CaptureFixture,
):
    make_halves()
    flags = ["--mode=test", f"--weights={ROOT}/weights/srmdnf_x2.safetensors", "--output=result", "--visdom=off"]
    assert main.main([*flags, "--input", "hr.png", "--kernel=delta", MAPS[1]]) == 2
    assert capsys.readouterr().err.startswith("--noise_map:")
    assert main.main([*flags, "--test_data=hr.png", "--kernel=delta", MAPS[1]]) == 0
    assert capsys.readouterr().out.count("warning") == 1
    results = json.loads(Path("result/metrics.json").read_text())
    assert results["assumed"]["noise_level"] == 0
    assert results["degradation"]["noise_map"] == "noise.png"
