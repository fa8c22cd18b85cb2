"""Restoring folders of LR pictures: names, formats, and pictures that are left out."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from small_restoring import BASE, contents, exif_with_orientation, files, metrics, picture, restore, write_network
from srmd.backends import choice
from srmd.cli.requests import parse
from srmd.evaluate import restoring, results


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


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
    # Two threads write results, so that either may be the first.
    assert re.search(r"^warning: in/[ab]\.png: JPEG has no transparency: it is laid on white$", output, re.MULTILINE)
    assert "warning: in/c.png: JPEG has 8 bits per channel for this picture, not 16\n" in output
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
    picture("in/a.gif")
    assert restore("--input", "in/a.gif", "in/a.png") == 2  # --format=keep makes a PNG of a GIF too
    assert capsys.readouterr().err == "--input: in/a.gif and in/a.png would both be written to a.png\n"
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
    picture("in/b.png", (10, 20), exif=exif_with_orientation(6))
    Path("in/c.png").write_text("no picture")
    picture("in/d.png", (40, 40))
    Path("in/e.png").write_bytes(Path("in/b.png").read_bytes()[:100])  # its header is whole
    before = contents(".")
    capsys.readouterr()
    assert restore("--input", "in", "--dry_run", "--save_kernel=kernel.png", "--max_pixels=1000") == 1
    captured = capsys.readouterr()
    assert captured.err == "3 of 5 pictures were left out: in/c.png, in/d.png, in/e.png\n"
    assert captured.out.splitlines() == [
        "skipped: in/a.png, restored before to out/a.png",
        "in/b.png -> out/b.png (20×10 -> 40×20)",
        "left out: in/c.png: not a picture of a known format",
        "left out: in/d.png: expected at most 1,000 pixels (--max_pixels), found 1,600",
        "left out: in/e.png: a broken picture (image file is truncated)",
        "nothing was written; this would restore 1, skip 1 and leave out 3",
    ]
    assert contents(".") == before


def test_a_dry_run_leaves_out_what_the_format_cannot_hold(capsys: pytest.CaptureFixture):
    picture("in/wide.png", (8200, 1))
    assert restore("--input", "in", "--format=webp", "--dry_run") == 2
    reason = "expected sides of up to 16383 pixels in WEBP, found 16400×2"
    assert f"left out: in/wide.png: {reason}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--device=cuda:31", "--device: this machine has "),
        ("--precision=fp16", "--precision: fp16 is for GPUs, found the CPU as the device"),
        ("--engine=ncnn", "--engine: ncnn is not installed: "),
        ("--output=file/out", "--output: file/out: expected a folder to write to, found a file at file"),
        ("--save_kernel=file/kernel.png", "--save_kernel: file: expected a folder to write to, found a file"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would_refuse(
    flag: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(choice, "is_installed", lambda engine: False)
    picture("in/a.png")
    Path("file").touch()
    for further in ((), ("--dry_run",)):
        assert restore("--input", "in", flag, *further) == 2
        assert capsys.readouterr().err.startswith(message)
        assert not Path("out").exists()


def test_a_dry_run_leaves_out_what_a_file_in_the_output_folder_keeps_from_being_written(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/sub/b.png"):
        picture(name)
    Path("out").mkdir()
    Path("out/sub").touch()
    for further in (("--dry_run",), ()):
        assert restore("--input", "in", "--recursive", *further) == 1
        captured = capsys.readouterr()
        assert captured.err.endswith("1 of 2 pictures were left out: in/sub/b.png\n")
        assert "in/sub/b.png: out/sub: expected a folder to write to, found a file\n" in captured.out
    assert files() == ["a.png", "metrics.json", "sub"]


def test_pictures_that_a_noise_map_does_not_fit_are_left_out(capsys: pytest.CaptureFixture):
    write_network("noisy.safetensors", conditions=("kernel", "noise"))
    for name, size in (("a", (20, 10)), ("b", (20, 12)), ("c", (20, 10))):
        picture(f"in/{name}.png", size)
    np.save("noise.npy", np.full((10, 20), 5.0))
    for flags in ((), ("--dry_run",)):
        assert (
            restore("--input", "in", "--noise_map=noise.npy", "--overwrite", *flags, weights="noisy.safetensors") == 1
        )
        captured = capsys.readouterr()
        assert captured.err == "1 of 3 pictures were left out: in/b.png\n"
        reason = "--noise_map=noise.npy: expected 20×12 (LR) or 40×24 (HR) pixels, found 20×10"
        assert f"left out: in/b.png: {reason}\n" in captured.out
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["a.png", "c.png"]


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


def test_a_picture_that_is_given_by_several_paths_is_restored_once():
    source = picture("in/a.png")
    Path("other").mkdir()
    Path("other/a.png").symlink_to(source.resolve())
    paths = ["in/a.png", "./in/a.png", "other/../in/a.png", str(source.resolve()), "other/a.png"]
    assert restore("--input", *paths) == 0
    assert files() == ["a.png", "metrics.json"]
    assert metrics()["summary"] == {"restored": 1, "skipped": 0, "left_out": 0}


@pytest.mark.parametrize("output", ["out", "out/deep/er", "out/result.png"])
def test_no_folder_is_left_if_nothing_was_written(output: str, capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert restore("--input", "in/a.png", f"--output={output}") == 2
    assert not Path("out").exists()
    if output != "out/result.png":
        assert restore("--input", "in", f"--output={output}") == 2
        assert not Path("out").exists()
    Path("out").mkdir()
    assert restore("--input", "in/a.png", f"--output={output}") == 2
    assert Path("out").is_dir()  # it was there before
    assert not list(Path("out").iterdir())


def test_the_summary_names_flags(capsys: pytest.CaptureFixture):
    picture("in/a.png", (10, 10))
    picture("in/b.png", (40, 40))
    assert restore("--input", "in", "--max_pixels=1000") == 1
    summary = capsys.readouterr().out.partition("left out 1:\n")[2]
    assert summary.startswith("  in/b.png: expected at most 1,000 pixels (--max_pixels), found 1,600\n")


def test_of_many_warnings_of_one_kind_three_are_shown_and_all_counted(capsys: pytest.CaptureFixture):
    for number in range(6):
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")[: 2 + number % 2]]
        picture(f"in/{number}.gif")
        frames[0].save(f"in/{number}.gif", save_all=True, append_images=frames[1:])
    assert restore("--input", "in", "--output=result") == 0
    output = capsys.readouterr().out
    assert output.count("warning: in/") == 3
    assert "6 warnings such as: it holds several pictures (frames or pages), of which the first is used\n" in output


def test_alpha_is_part_of_the_progress():
    picture("in/a.png", (30, 20), mode="RGBA")
    picture("in/b.png", (30, 20))
    flags = ["--mode=test", *BASE, "--weights=tiny.safetensors", "--kernel=delta", "--tile=20", "--input", "in"]
    calls: list[tuple[int, int]] = []
    restoring.restore_pictures(parse(flags), lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {3 * 600}
    done = [done for done, _ in calls]
    assert done == sorted(done)
    assert done[-1] == 3 * 600
    assert done[:4] == [360, 600, 960, 1200]  # two tiles of alpha, and two of the colours
