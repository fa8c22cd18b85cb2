"""JPEGs in a test: what the network is told of LR pictures, what is applied to HR pictures, and what is recorded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picture_files import open_picture
from png_files import write_png
from small_restoring import contents, metrics, picture, restore, write_network
from srmd.cli.console import log_to_console
from srmd.cli.requests import parse
from srmd.degradation import compress_picture
from srmd.evaluate.run import evaluate
from srmd.jpeg.tables import JpegTables
from srmd.pictures.files import read_picture
from srmd.pictures.photos import builtin_test_pictures
from srmd.pictures.picture import quantise
from srmd.restore.estimate import BlindEstimator
from srmd.restore.estimate_map import estimate_map
from srmd.restore.restorer import Restorer, load

PHOTO = next(iter(builtin_test_pictures().values()))[:128, :160]


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")
    write_network("told.safetensors", conditions=("kernel", "noise", "jpeg"))


def photo(path: str, **options: object) -> str:
    Image.fromarray(PHOTO).save(path, **options)
    return path


def restorer() -> Restorer:
    return load("told.safetensors", "cpu", "fp32", "torch")


def result(*flags: str, weights: str = "told.safetensors") -> np.ndarray:
    assert restore(*flags, "--noise_level=0", "--overwrite", weights=weights) == 0
    with Image.open(next(Path("out").glob("*.png"))) as image:
        return np.asarray(image)


def test_the_file_s_own_tables_are_told_and_recorded():
    told = result("--input", photo("a.jpg", quality=30, subsampling="4:2:2"))
    entry = metrics()["images"][0]["jpeg"]
    expected = JpegTables.of_quality(30, "4:2:2").condition
    assert entry["condition"] == pytest.approx(expected, abs=1e-4)
    assert (entry["quality"], entry["subsampling"], entry["source"]) == (30, "4:2:2", "file")
    assert not np.array_equal(told, result("--input", "a.jpg", "--jpeg=off"))
    assert "jpeg" not in metrics()["images"][0]
    np.testing.assert_array_equal(told, result("--input", "a.jpg", "--jpeg=30"))
    assert metrics()["images"][0]["jpeg"]["source"] == "given"


def test_a_png_that_was_a_jpeg_is_told_an_estimate():
    with Image.open(photo("a.jpg", quality=40)) as image:
        image.crop((3, 5, 160, 128)).save("b.png")
    result("--input", "b.png")
    entry = metrics()["images"][0]["jpeg"]
    assert entry["source"] == "estimated"
    assert entry["condition"] == pytest.approx(JpegTables.of_quality(40).condition, abs=0.03)


def test_a_given_quality_is_refused_by_a_network_that_is_told_nothing_of_jpeg(capsys: pytest.CaptureFixture):
    picture("a.jpg")
    assert restore("--input", "a.jpg", "--jpeg=50") == 2
    assert "--jpeg: tiny.safetensors was not trained for JPEGs" in capsys.readouterr().err
    assert restore("--input", "a.jpg") == 0


@pytest.mark.parametrize("flags", [["--jpeg=0"], ["--jpeg=101"], ["--jpeg=best"], ["--test_data=a.jpg", "--jpeg=auto"]])
def test_other_values_are_refused(flags: list[str]):
    picture("a.jpg")
    assert restore(*flags, *([] if "--test_data=a.jpg" in flags else ["--input", "a.jpg"])) == 2


def test_equal_jpeg_settings_are_skipped_and_others_refused():
    photo("a.jpg", quality=30)
    result("--input", "a.jpg")
    before = contents()
    assert restore("--input", "a.jpg", "--noise_level=0", weights="told.safetensors") == 0
    assert contents() == before
    assert restore("--input", "a.jpg", "--noise_level=0", "--jpeg=50", weights="told.safetensors") == 2


def test_alpha_is_not_told_of_jpeg():
    with Image.open(photo("a.png")) as image:
        image.putalpha(Image.fromarray(PHOTO[..., 0]))
        image.save("alpha.png")
    alphas = [result("--input", "alpha.png", f"--jpeg={jpeg}")[..., 3] for jpeg in ("5", "off")]
    np.testing.assert_array_equal(*alphas)


@pytest.mark.parametrize("flag", ["--self_ensemble", "--tile=48", "--kernel_grid=0,1", "--outscale=1.5"])
def test_sheets_tiles_and_self_ensemble_are_told_the_tables(flag: str):
    photo("a.jpg", quality=20)
    flags = ["--input", "a.jpg", flag]
    kernel = "auto" if "grid" in flag else "delta"
    images = []
    for jpeg in ("auto", "off"):
        arguments = [*flags, f"--jpeg={jpeg}", "--noise_level=0", "--overwrite"]
        assert restore(*arguments, weights="told.safetensors", kernel=kernel) == 0
        with Image.open(next(Path("out").glob("*.png"))) as image:
            images.append(np.asarray(image))
    assert not np.array_equal(*images)


def test_nothing_is_told_with_jpeg_off(capsys: pytest.CaptureFixture):
    with Image.open(photo("a.jpg", quality=20)) as image:
        decoded = np.asarray(image)
        image.crop((3, 5, 160, 128)).save("b.png")  # without tables, which would be recognised
    for file, lr in (("a.jpg", decoded), ("b.png", decoded[5:, 3:])):
        expected = restorer().restore(lr, "delta", 0, jpeg=None)
        result("--input", file, "--jpeg=off")
        np.testing.assert_array_equal(open_picture(Path("out", file).with_suffix(".png")), expected)
    assert [row["file"] for row in metrics()["images"] if "jpeg" not in row] == ["a.png", "b.png"]
    assert "JPEG" not in capsys.readouterr().out


@pytest.mark.parametrize("grey", [False, True])
def test_a_quality_is_told_for_16_bits(grey: bool):
    pixels = PHOTO[..., :1].repeat(3, 2) if grey else PHOTO
    values = pixels.astype(np.uint16) * 257 + np.arange(160, dtype=np.uint16)[:, None] % 256
    write_png(Path("a.png"), values[..., 0] if grey else values, colour_type=0 if grey else 2, bit_depth=16)
    assert restore("--input", "a.png", "--jpeg=40", "--noise_level=0", weights="told.safetensors") == 0
    tables = JpegTables.of_quality(40).as_grey() if grey else JpegTables.of_quality(40)
    entry = metrics()["images"][0]["jpeg"]
    assert entry["condition"] == pytest.approx(tables.condition, abs=1e-4)
    assert (entry["subsampling"], entry["source"]) == (tables.subsampling, "given")
    sr = read_picture(Path("out/a.png")).pixels
    assert sr.dtype == np.uint16
    np.testing.assert_array_equal(sr, restorer().restore(values, "delta", 0, jpeg=tables))
    assert not np.array_equal(sr, restorer().restore(values, "delta", 0, jpeg=None))


def test_a_map_of_estimates_is_made_and_told_with_the_tables():
    Image.fromarray(PHOTO[:56, :72]).save("a.jpg", quality=30)
    assert restore("--input", "a.jpg", "--estimate_map", weights="told.safetensors", kernel="auto") == 0
    lr, tables = np.asarray(open_picture("a.jpg")), JpegTables.of_quality(30)
    estimates = estimate_map(BlindEstimator(2), lr, tables)
    row = metrics()["images"][0]
    assert row["jpeg"]["quality"] == 30
    assert row["estimated"]["windows"] == estimates.entry() != estimate_map(BlindEstimator(2), lr).entry()
    found = np.asarray(open_picture("out/a.png"))
    for degradation, is_told in (
        (estimates.degradation(15), False),
        (estimates.degradation(15).with_jpeg(tables), True),
    ):
        sr = np.zeros((112, 144, 3))
        for rows, columns, tile in restorer().restore_tiles(lr, degradation):
            sr[rows, columns] = tile[0].permute(1, 2, 0).clamp(0, 1)
        assert (np.abs(found - sr * 255).max() < 0.51) == is_told


def test_a_dry_run_lists_jpegs_and_writes_nothing(capsys: pytest.CaptureFixture):
    photo("a.jpg", quality=30)
    result("--input", "a.jpg")
    photo("b.jpg", quality=50)
    Path("c.jpg").write_bytes(Path("b.jpg").read_bytes()[:1500])
    before = contents(".")
    capsys.readouterr()
    flags = ["--input", "a.jpg", "b.jpg", "c.jpg", "--noise_level=0", "--dry_run"]
    assert restore(*flags, weights="told.safetensors") == 1
    skipped, listed, left_out, summary = capsys.readouterr().out.splitlines()
    assert skipped == "skipped: a.jpg, restored before to out/a.png"
    assert listed == "b.jpg -> out/b.png (160×128 -> 320×256)"
    assert left_out.startswith("left out: c.jpg: a broken picture (image file is truncated")
    assert summary == "nothing was written; this would restore 1, skip 1 and leave out 1"
    assert restore(*flags, "--jpeg=50", weights="told.safetensors") == 2
    assert "out/a.png exists and was made with other settings: jpeg; " in capsys.readouterr().err
    assert contents(".") == before


def test_another_quality_is_one_difference_from_an_existing_result(capsys: pytest.CaptureFixture):
    photo("b.png")
    for quality, code in ((50, 0), (75, 2)):
        flags = ["--noise_level=0", f"--jpeg={quality}"]
        assert restore("--input", "b.png", *flags, weights="told.safetensors") == code
    assert "out/b.png exists and was made with other settings: jpeg; " in capsys.readouterr().err


@pytest.mark.parametrize("grey", [False, True])
def test_lr_of_hr_pictures_is_what_libjpeg_makes_of_it(grey: bool):
    lr = torch.from_numpy(PHOTO / 255).permute(2, 0, 1)[None]
    lr = lr[:, :1].expand(-1, 3, -1, -1) if grey else lr
    decoded = quantise(compress_picture(lr, 40)[0].permute(1, 2, 0).numpy(), np.dtype(np.uint8))
    image = Image.fromarray(quantise(lr[0].permute(1, 2, 0).numpy(), np.dtype(np.uint8)))
    (image.convert("L") if grey else image).save("lr.jpg", quality=40)
    with Image.open("lr.jpg") as expected:
        np.testing.assert_array_equal(decoded, np.asarray(expected.convert("RGB")))


def test_hr_pictures_are_compressed_told_it_and_saved():
    photo("hr.png")
    for flags, quality in ((["--jpeg=20"], 20), (["--jpeg=20", "--assumed_jpeg=60"], 60)):
        assert restore("--test_data=hr.png", "--save_lr", *flags, weights="told.safetensors") == 0
        assert metrics()["images"][0]["jpeg"]["quality"] == quality
        assert metrics()["degradation"]["jpeg"] == 20
    with Image.open("out/lr/hr.png") as lr:
        saved = np.asarray(lr)
    assert restore("--test_data=hr.png", "--save_lr", weights="told.safetensors") == 0
    with Image.open("out/lr/hr.png") as lr:
        plain = np.asarray(lr)
    tensor = torch.from_numpy(plain / 255).permute(2, 0, 1)[None]
    expected = compress_picture(tensor, 20)[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(saved, expected, atol=0.01)
    assert metrics()["images"][0].get("jpeg") is None


def test_auto_for_hr_pictures_is_scored_beside_the_truth():
    photo("hr.png")
    assert restore("--test_data=hr.png", "--jpeg=30", "--assumed_jpeg=auto", weights="told.safetensors") == 0
    row = metrics()["images"][0]
    assert row["jpeg"]["source"] == "estimated"
    assert {"truth_psnr_y", "psnr_y"} <= row.keys()


def test_only_pictures_that_were_jpegs_are_restored_by_the_network_for_them():
    photo("a.jpg", quality=30)
    photo("b.png")
    flags = ["--weights=tiny.safetensors", "--kernel=delta", "--noise_level=0", "--device=cpu", "--visdom=off"]
    request = parse(["--mode=test", "--input", "a.jpg", "b.png", "--output=out", *flags])
    request = replace(request, jpeg_weights=Path("told.safetensors"))
    rows = {row["file"]: row for row in evaluate(request)}
    assert rows["a.png"]["weights"] == "told.safetensors"
    assert rows["a.png"]["jpeg"]["quality"] == 30
    assert "jpeg" not in rows["b.png"]
    assert metrics()["weights"] == "tiny.safetensors"
    assert metrics()["jpeg_weights"] == "told.safetensors"


@pytest.mark.parametrize(
    ("flags", "weights", "jpeg_weights"),
    [
        ([], "srmd_x2", "srmdj_x2"),
        (["--scale_factor=1", "--noise_level=0"], "srmd_x1", "srmdj_x1"),
        (["--scale_factor=3"], "srmd_x3", "srmdj_x3"),
        (["--scale_factor=4"], "srmd_x4", "srmdj_x4"),
        (["--jpeg=off"], "srmd_x2", None),
        (["--jpeg=50"], "srmdj_x2", None),
    ],
)
def test_the_package_has_networks_for_jpegs(flags: list[str], weights: str, jpeg_weights: str | None):
    request = parse(["--mode=test", "--input", photo("a.png"), *flags])
    assert request.weights.stem == weights
    assert (request.jpeg_weights and request.jpeg_weights.stem) == jpeg_weights


@pytest.mark.parametrize(
    ("flags", "weights", "jpeg_weights"),
    [
        (["--assumed_jpeg=off"], "srmdnf_x2", None),
        (["--assumed_jpeg=50"], "srmdj_x2", None),
        (["--assumed_jpeg=auto"], "srmdnf_x2", "srmdj_x2"),
        (["--assumed_jpeg=auto", "--assumed_noise_level=auto"], "srmd_x2", "srmdj_x2"),
        (["--jpeg=50", "--assumed_jpeg=auto"], "srmdj_x2", None),
        (["--jpeg=50", "--assumed_jpeg=off"], "srmdj_x2", None),
    ],
)
def test_a_network_that_can_be_told_what_is_assumed_is_chosen(flags: list[str], weights: str, jpeg_weights: str | None):
    request = parse(["--mode=test", "--test_data", photo("a.png"), *flags])
    assert request.weights.stem == weights
    assert (request.jpeg_weights and request.jpeg_weights.stem) == jpeg_weights


@pytest.mark.parametrize("has_other_network", [True, False])
def test_only_a_test_without_a_network_for_jpegs_is_warned_of(has_other_network: bool, capsys: pytest.CaptureFixture):
    photo("a.png")
    flags = ["--weights=tiny.safetensors", "--assumed_jpeg=auto", "--device=cpu", "--visdom=off", "--output=out"]
    request = parse(["--mode=test", "--test_data=a.png", *flags])
    log_to_console()
    evaluate(replace(request, jpeg_weights=Path("told.safetensors") if has_other_network else None))
    assert ("was not trained for JPEGs" in capsys.readouterr().out) is not has_other_network
