"""Restoring folders of LR pictures: names, formats, sizes, and results that exist."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picture_files import open_picture
from srmd.base.paths import shipped_folder
from srmd.cli import main
from srmd.degradation import imresize
from srmd.evaluate import restoring, results
from srmd.kernel.pca import pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, write_weights

BASE = ["--precision=fp32", "--engine=torch", "--device=cpu", "--visdom=off", "--output=out"]


def write_network(path: str, scale: int = 2, seed: int = 0) -> None:
    torch.manual_seed(seed)
    network = SRMD(NetworkConfig(scale, features=4, layers=3, conditions=("kernel",)))
    write_weights(Path(path), Weights(network, torch.from_numpy(pca_matrix())))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


def picture(path: str, size: tuple[int, int] = (20, 16), mode: str = "RGB", seed: int = 0, **options: object) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = rng.integers(0, 256, (size[1], size[0], channels), np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, **options)
    return Path(path)


def restore(*flags: str, weights: str | None = "tiny.safetensors", kernel: str = "delta") -> int:
    network = [f"--weights={weights}"] if weights else []
    return main.main(["--mode=test", *BASE, *network, f"--kernel={kernel}", *flags])


def metrics() -> dict:
    return json.loads(Path("out/metrics.json").read_text())


def files(folder: str = "out") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def contents(folder: str = "out") -> dict[str, tuple[bytes, int]]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "metrics.json"]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_recursive_keeps_the_tree():
    for name in ("in/a.png", "in/sub/a.png", "in/sub/deep/c.jpg", "in/.hidden/d.png"):
        picture(name)
    Path("in/notes.txt").touch()
    assert restore("--input", "in") == 0
    assert files() == ["a.png", "metrics.json"]
    assert restore("--input", "in", "--recursive") == 0
    assert files() == ["a.png", "metrics.json", "sub/a.png", "sub/deep/c.png"]
    assert [row["name"] for row in metrics()["images"]] == ["a", "sub/a", "sub/deep/c"]
    assert metrics()["summary"] == {"restored": 2, "skipped": 1, "left_out": 0}


@pytest.mark.parametrize(
    ("flags", "source", "expected", "kind"),
    [
        (["--format=jpg"], "in/a.png", "a.jpg", "JPEG"),
        (["--format=webp", "--quality=50"], "in/a.png", "a.webp", "WEBP"),
        (["--format=tiff", "--suffix=_x2"], "in/a.png", "a_x2.tiff", "TIFF"),
        (["--format=avif"], "in/a.jpg", "a.avif", "AVIF"),
        (["--format=keep"], "in/a.JPG", "a.JPG", "JPEG"),
        (["--format=keep"], "in/a.gif", "a.png", "PNG"),
        (["--suffix=.big"], "in/a.b.png", "a.b.big.png", "PNG"),
    ],
)
def test_format_and_suffix_decide_on_the_file(flags: list[str], source: str, expected: str, kind: str):
    picture(source)
    assert restore("--input", "in", *flags) == 0
    assert files() == [expected, "metrics.json"]
    assert open_picture(f"out/{expected}").format == kind
    assert open_picture(f"out/{expected}").size == (40, 32)


def test_quality_is_that_of_the_file_and_part_of_the_settings(capsys: pytest.CaptureFixture):
    picture("in/a.png", (64, 64))
    sizes = []
    for quality in (20, 95):
        assert restore("--input", "in", "--format=jpg", f"--quality={quality}", "--overwrite") == 0
        sizes.append(Path("out/a.jpg").stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]
    assert restore("--input", "in", "--format=jpg") == 0  # 95 is the default
    assert metrics()["summary"]["skipped"] == 1
    assert restore("--input", "in", "--format=jpg", "--quality=30") == 2
    assert capsys.readouterr().err == (
        "--output: out/a.jpg exists and was made with other settings: quality; --overwrite makes results anew\n"
    )


def test_what_a_format_cannot_hold_is_warned_of_once_and_counted(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        picture(name, mode="RGBA")
    Image.fromarray(np.full((16, 20), 40000, np.uint16)).save("in/c.png")
    assert restore("--input", "in", "--format=jpg") == 0
    output = capsys.readouterr().out
    assert output.count("warning") == 2
    assert "warning: in/a.png: JPEG has no transparency: it is laid on white\n" in output
    assert "warning: in/c.png: JPEG has no 16 bits per channel: 8 are written\n" in output
    assert "2 lost transparency\n" in output
    assert [row.get("lost") for row in metrics()["images"]] == [["transparency"], ["transparency"], ["16 bits"]]
    level = 40000 / 257
    assert np.abs(np.asarray(open_picture("out/c.jpg")) - level).max() < 30  # the network is not trained
    assert restore("--input", "in") == 0  # PNG holds everything
    assert "warning" not in capsys.readouterr().out


def test_two_pictures_that_would_get_one_name_are_refused_with_both_names(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    picture("in/a.jpg")
    assert restore("--input", "in") == 2
    error = capsys.readouterr().err
    assert error.startswith("--input: in/a.jpg and in/a.png would both be written to a.png; --format=keep keeps")
    assert not Path("out").exists()
    assert restore("--input", "in", "--format=keep") == 0
    assert files() == ["a.jpg", "a.png", "metrics.json"]
    picture("more/a.png")
    assert restore("--input", "in/a.png", "more") == 2
    assert capsys.readouterr().err == "--input: in/a.png and more/a.png would both be written to a.png\n"


def test_a_picture_with_the_name_of_a_folder_is_refused(capsys: pytest.CaptureFixture):
    picture("in/a.jpg")
    picture("in/a.png/b.jpg")
    assert restore("--input", "in", "--recursive") == 2
    assert "in/a.jpg would have the name of the folder for in/a.png/b.jpg" in capsys.readouterr().err


def test_names_that_differ_in_case_are_refused_where_the_disk_ignores_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    for name in ("in/A.png", "in/a.jpg", "in/Sub/é.png", "in/sub/e\u0301.png"):
        picture(name)
    assert restore("--input", "in", "--recursive") == 0  # this disk does not
    assert len(files()) == 5
    monkeypatch.setattr(results, "_is_one_name", lambda *_: True)
    assert restore("--input", "in", "--recursive", "--overwrite") == 2
    assert "in/a.jpg and in/A.png would both be written to" in capsys.readouterr().err


def test_the_trial_of_the_disk_leaves_nothing(tmp_path: Path):
    before = files(".")
    assert not results._is_one_name(tmp_path, "Sub/a.png", "sub/a.png")
    assert files(".") == before
    assert not list(tmp_path.glob(".*"))


def test_names_of_any_bytes_are_kept():
    source = os.fsencode(picture("in/a.png").parent) + b"/\xff'\n\xe9.png"
    os.rename(b"in/a.png", source)
    assert restore("--input", "in") == 0
    assert sorted(os.listdir(b"out")) == [b"metrics.json", b"\xff'\n\xe9.png"]
    assert restore("--input", "in") == 0
    assert metrics()["summary"] == {"restored": 0, "skipped": 1, "left_out": 0}


def test_a_name_that_is_too_long_is_refused(capsys: pytest.CaptureFixture):
    picture(f"in/{'x' * 250}.png")
    assert restore("--input", "in", "--suffix=_x2") == 2
    assert "expected names of results of up to 255 bytes" in capsys.readouterr().err


def test_an_existing_result_is_skipped_if_its_settings_are_equal(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        picture(name)
    assert restore("--input", "in") == 0
    before = contents()
    picture("in/c.png")
    Path("out/b.png").unlink()
    capsys.readouterr()
    shutil.copy("tiny.safetensors", "copy.safetensors")  # the file's content counts
    assert restore("--input", "in", "--tile=16", weights="copy.safetensors") == 0
    assert contents()["out/a.png"] == before["out/a.png"]
    assert metrics()["summary"] == {"restored": 2, "skipped": 1, "left_out": 0}
    assert [row["name"] for row in metrics()["images"]] == ["a", "b", "c"]
    assert "skipped 1, which were restored before with equal settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "kernel", "weights", "difference"),
    [
        ([], "gaussian:1", "tiny.safetensors", "assumed"),
        ([], "delta", "other.safetensors", "weights"),
        (["--self_ensemble"], "delta", "tiny.safetensors", "self_ensemble"),
        (["--outscale=1.5"], "delta", "tiny.safetensors", "outscale"),
        (["--size=30x30"], "delta", "tiny.safetensors", "size"),
        (["--precision=auto"], "delta", "tiny.safetensors", "precision"),
    ],
)
def test_a_result_made_with_other_settings_is_refused_and_overwritten_on_demand(
    flags: list[str], kernel: str, weights: str, difference: str, capsys: pytest.CaptureFixture
):
    write_network("other.safetensors", seed=1)
    picture("in/a.png")
    picture("in/b.png")
    assert restore("--input", "in") == 0
    before = contents()
    assert restore("--input", "in", *flags, kernel=kernel, weights=weights) == 2
    expected = f"--output: out/a.png exists and was made with other settings: {difference} (and 1 more); "
    assert capsys.readouterr().err == f"{expected}--overwrite makes results anew\n"
    assert contents() == before
    assert restore("--input", "in", *flags, "--overwrite", kernel=kernel, weights=weights) == 0
    assert contents() != before
    assert restore("--input", "in", *flags, kernel=kernel, weights=weights) == 0
    assert metrics()["summary"]["skipped"] == 2
    assert len(metrics()["settings"]) == 1


def test_overwrite_makes_equal_results_anew_too():
    picture("in/a.png")
    assert restore("--input", "in") == 0
    before = contents()
    assert restore("--input", "in", "--overwrite") == 0
    assert contents() != before


def test_maps_and_kernel_files_are_compared_by_content(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    flags = ["--input", "in", "--kernel=gaussian:1", "--regions=labels.png"]
    for labels in (np.eye(16, 20), np.eye(16, 20), np.eye(16, 20)[::-1]):
        Image.fromarray(labels.astype(np.uint8)).save("labels.png")
        code = restore(*flags)
    assert code == 2
    assert "other settings: assumed" in capsys.readouterr().err
    assert metrics()["summary"]["skipped"] == 1
    assert restore(*flags, "--region_blend=2") == 2
    assert "assumed, region_blend" in capsys.readouterr().err


def test_a_result_from_a_picture_that_has_changed_is_refused(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    assert restore("--input", "in") == 0
    picture("in/a.png", seed=1)
    assert restore("--input", "in") == 2
    assert "was made from in/a.png, which is another picture than in/a.png or has changed" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "{", "[]", '{"images": [{"file": "a.png"}], "settings": []}', '{"images": 3}'])
def test_a_result_that_no_metrics_explain_is_refused(text: str | None, capsys: pytest.CaptureFixture):
    picture("in/a.png")
    picture("out/a.png")
    if text is not None:
        Path("out/metrics.json").write_text(text)
    before = contents()
    assert restore("--input", "in") == 2
    assert "out/a.png exists and no metrics.json says how it was made" in capsys.readouterr().err
    assert contents() == before


def test_results_of_several_runs_share_a_folder():
    picture("one/a.png")
    picture("two/b.png")
    assert restore("--input", "one") == 0
    assert restore("--input", "two", kernel="gaussian:1") == 0
    assert restore("--input", "one") == 0
    assert metrics()["summary"] == {"restored": 0, "skipped": 1, "left_out": 0}
    rows, settings = metrics()["images"], metrics()["settings"]
    assert {row["name"]: settings[row["settings"]]["assumed"]["kernel"] for row in rows} == {
        "a": "delta",
        "b": "gaussian:1",
    }


def test_what_another_process_records_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch):
    picture("one/a.png")
    picture("two/b.png")
    write = restoring.write_picture

    def write_while_another_run_ends(path: Path, *arguments: object) -> None:
        if path.name == "a.png":
            assert restore("--input", "two") == 0
        write(path, *arguments)

    monkeypatch.setattr(restoring, "write_picture", write_while_another_run_ends)
    assert restore("--input", "one") == 0
    assert [row["name"] for row in metrics()["images"]] == ["a", "b"]


def test_results_inside_the_input_folder_are_not_restored_again(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    picture("in/sub/b.png")
    flags = ["--mode=test", *BASE[:-1], "--weights=tiny.safetensors", "--kernel=delta", "--input", "in", "--recursive"]
    assert main.main([*flags, "--output=in/results"]) == 0
    expected = ["a.png", "metrics.json", "results/a.png", "results/metrics.json", "results/sub/b.png", "sub/b.png"]
    assert files("in") == sorted([*expected[:1], *expected[2:]])
    assert main.main([*flags, "--output=in/results"]) == 0
    assert files("in/results") == ["a.png", "metrics.json", "sub/b.png"]
    assert main.main([*flags, "--output=other"]) == 0  # results of another run, found on the way
    assert files("other") == ["a.png", "metrics.json", "sub/b.png"]
    assert "not restored: the pictures in in/results, which are results" in capsys.readouterr().out


def test_results_beside_their_inputs_are_not_restored_again():
    picture("in/a.png")
    flags = ["--mode=test", *BASE[:-1], "--weights=tiny.safetensors", "--kernel=delta", "--output=in", "--suffix=_x2"]
    for _ in range(2):
        assert main.main([*flags, "--input", "in"]) == 0
        assert files("in") == ["a.png", "a_x2.png", "metrics.json"]
    assert main.main([*flags, "--input", "in/a_x2.png"]) == 0  # named explicitly
    assert "a_x2_x2.png" in files("in")


def test_left_out_pictures_are_in_the_summary_and_the_metrics_with_the_reason(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    Path("in/b.png").write_text("no picture")
    Path("in/c.png").symlink_to("nowhere.png")
    picture("in/wide.png", (8200, 1))
    assert restore("--input", "in", "--format=webp") == 1
    captured = capsys.readouterr()
    assert captured.err == "3 of 4 pictures were left out: in/b.png, in/c.png, in/wide.png\n"
    assert "left out 3:\n  in/b.png: not a picture of a known format\n" in captured.out
    reasons = {entry["input"]: entry["reason"] for entry in metrics()["left_out"]}
    assert reasons["in/b.png"] == "not a picture of a known format"
    assert reasons["in/c.png"] == "No such file or directory"  # without the path, which is beside it
    assert reasons["in/wide.png"] == "expected sides of up to 16383 pixels in WEBP, found 16400×2"
    assert metrics()["summary"] == {"restored": 1, "skipped": 0, "left_out": 3}
    assert files() == ["a.webp", "metrics.json"]


def test_if_no_picture_can_be_read_the_request_is_wrong(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert restore("--input", "in") == 2
    captured = capsys.readouterr()
    assert captured.err == "--input: expected pictures that can be read, found none: in/a.png, in/b.png\n"
    assert "are in out" not in captured.out
    assert not Path("out/metrics.json").exists()


def test_a_dry_run_lists_and_writes_nothing(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    assert restore("--input", "in") == 0
    picture("in/b.png", (10, 20), exif=_exif_with_orientation(6))
    Path("in/c.png").write_text("no picture")
    picture("in/d.png", (40, 40))
    before = contents(".")
    capsys.readouterr()
    assert restore("--input", "in", "--dry_run", "--save_kernel=kernel.png", "--max_pixels=1000") == 0
    assert capsys.readouterr().out.splitlines() == [
        "skipped: in/a.png, restored before to out/a.png",
        "in/b.png -> out/b.png (20×10 -> 40×20)",
        "left out: in/c.png: not a picture of a known format",
        "left out: in/d.png: expected at most 1,000 pixels (--max_pixels), found 1,600",
        "nothing was written; this would restore 1, skip 1 and leave out 2",
    ]
    assert contents(".") == before


def test_a_dry_run_leaves_out_what_the_format_cannot_hold(capsys: pytest.CaptureFixture):
    picture("in/wide.png", (8200, 1))
    assert restore("--input", "in", "--format=webp", "--dry_run") == 0
    reason = "expected sides of up to 16383 pixels in WEBP, found 16400×2"
    assert f"left out: in/wide.png: {reason}\n" in capsys.readouterr().out


def _exif_with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


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
        options = {"exif": _exif_with_orientation(6)} if name == "turned" else {}
        picture(f"in/{name}.png", size, **options)
    assert restore("--input", "in", "--size=40x32", weights=None) == 0
    rows, settings = metrics()["images"], metrics()["settings"]
    assert {row["name"]: settings[row["settings"]]["scale"] for row in rows} == {
        "small": 4,
        "middle": 2,
        "large": 1,
        "turned": 4,
    }
    assert {open_picture(f"out/{row['file']}").size for row in rows} == {(40, 32)}
    for outscale, scale in (("1", 1), ("1.01", 2), ("3", 4)):
        assert restore("--input", "in/small.png", f"--outscale={outscale}", "--overwrite", weights=None) == 0
        assert metrics()["scale"] == scale


def test_a_size_beyond_the_network_and_a_distorting_one_are_warned_of_once(capsys: pytest.CaptureFixture):
    picture("in/a.png", (20, 10))
    picture("in/b.png", (20, 10))
    assert restore("--input", "in", "--outscale=3") == 0
    output = capsys.readouterr().out
    assert output.count("warning: in/a.png: the network enlarges 2 times; bicubic resizing does the rest\n") == 1
    assert output.count("warning") == 1
    assert restore("--input", "in", "--size=40x30", "--overwrite") == 0
    assert "warning: in/a.png: 20×10 becomes 40×30, which distorts it\n" in capsys.readouterr().out
    assert restore("--input", "in", "--size=31x15", "--overwrite") == 0  # as close as whole pixels allow
    assert "distorts" not in capsys.readouterr().out


def test_a_failure_half_way_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    for name in "abc":
        picture(f"in/{name}.png")
    write = restoring.write_picture

    def fail_at_c(path: Path, *arguments: object) -> None:
        if path.name == "c.png":
            raise OSError("No space left on device")
        write(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "write_picture", fail_at_c)
        assert restore("--input", "in") == 1
    assert capsys.readouterr().err == "No space left on device\n"
    assert files() == ["a.png", "b.png", "metrics.json"]
    assert restore("--input", "in") == 0
    assert metrics()["summary"] == {"restored": 1, "skipped": 2, "left_out": 0}


def test_an_input_is_not_overwritten_also_under_another_name(capsys: pytest.CaptureFixture):
    source = picture("in/a.png")
    Path("out").mkdir()
    os.link(source, "out/a.png")  # as a second name of a file on a disk that ignores case
    before = source.read_bytes()
    assert restore("--input", "in", "--overwrite") == 2
    assert "--output: the result out/a.png would overwrite another file" in capsys.readouterr().err
    assert source.read_bytes() == before
