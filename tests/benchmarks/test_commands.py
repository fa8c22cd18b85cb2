"""The commands in `benchmarks/` print their help, and end with one line for what they cannot use."""

import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.commands import one_line_errors
from benchmarks.plans import ROOT, shipped

MAIN = '\nif __name__ == "__main__":\n'
FILES = [path for path in (ROOT / "benchmarks").rglob("*.py") if MAIN in path.read_text(encoding="utf-8")]
NAMES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for path in FILES)
PACKAGES = "benchmarks", "benchmarks.gpu"
OPTIONAL = "gradio", "ncnn", "onnxruntime", "openvino", "playwright", "visdom"
NO_FILE, NO_PATH = "expected a file, found no such file", "missing: expected a file or folder, found neither"
NO_PICTURES = "empty: expected pictures directly inside it, found no file"
MINUTES = ["--minutes=1", "--total_minutes=1"]


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> int | str | None:
    """Runs a command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    module = f"{name}.__main__" if name in PACKAGES else name
    monkeypatch.delitem(sys.modules, module, raising=False)  # so that it is run without a warning
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    logging.disable(logging.NOTSET)  # benchmarks.processes disables it
    return ended.value.code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test beside a folder of pictures, an empty one, a run without its config.json, and a text file."""
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "empty", "run", "damaged"):
        Path(name).mkdir()
    Image.new("RGB", (48, 48)).save("pictures/a.png")
    for run in ("run", "damaged"):
        Path(run, "last.safetensors").symlink_to(shipped("srmdnf_x2"))
    Path("damaged/config.json").write_text('{"steps": 5}')
    Path("text.txt").write_text("a text\nof two lines\n")


@pytest.mark.parametrize("name", NAMES)
def test_help_needs_no_optional_package(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    for package in OPTIONAL:
        monkeypatch.setitem(sys.modules, package, None)
    assert run(monkeypatch, name, "--help") in (0, None)
    printed = capsys.readouterr()
    assert printed.out.startswith("usage: ")
    assert "python -m " + name in printed.out or "torchrun" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        *((name, ["extra"], "unrecognized arguments: extra") for name in ("blind_picture", "card", "engines")),
        *((name, ["extra"], "unrecognized arguments: extra") for name in ("jpeg_picture", "memory", "scaling")),
        *((name, ["extra"], "unrecognized arguments: extra") for name in ("startup", "variant")),
        ("average", [], "the following arguments are required: name, source"),
        ("average", ["srmdj_x9", "srmd_x4"], f"srmdj_x9.safetensors: {NO_FILE}"),
        ("average", ["srmdj_x4", "srmd_x4", "--test_data", "empty"], f"argument --test_data: {NO_PICTURES}"),
        ("blind", ["empty"], "DATA: expected the folders Set5, Set14 or B100 in empty, found none of them"),
        ("blind", ["empty", "--share=3/2"], "argument --share: expected a share such as 1/2, found '3/2'"),
        ("blind", ["empty", "--every=0"], "argument --every: expected a whole number of at least 1, found '0'"),
        ("blind_halves", ["missing"], f"argument data: {NO_PATH}"),
        ("blind_halves", ["text.txt"], "text.txt: not a picture of a known format"),
        ("blind_jpeg", ["empty"], f"argument folder: {NO_PICTURES}"),
        ("blind_jpeg", ["--scales", "5"], "argument --scales: expected a whole number from 1 to 4, found '5'"),
        (
            "blind_jpeg",
            ["--page=text.txt"],
            "text.txt: expected the marks of the part 'estimates of JPEGs', found none",
        ),
        ("blind_jpeg", ["--page=pictures/a.png"], "a.png: expected the marks of the part 'estimates of JPEGs'"),
        ("blind_limits", ["text.txt"], "text.txt: not a picture of a known format"),
        ("documents", ["--data=missing"], f"argument --data: {NO_PATH}"),
        ("figures", ["missing"], "missing: expected the folder of a run, found no rows in metrics.jsonl"),
        ("fit_colours", ["srmd_x9"], f"srmd_x9.safetensors: {NO_FILE}"),
        ("fit_colours", ["srmd_x9", "--protected", "delta", "50", "x"], "--protected: expected a number from 0 to 1"),
        (
            "fit_colours",
            ["srmd_x9", *["--protected", "delta", "50", "0.6"] * 2],
            "--protected: expected shares whose sum is at most 1, found 1.2",
        ),
        ("gpu", [], "the following arguments are required: --output, --minutes, --total_minutes"),
        ("gpu", ["--output=text.txt", *MINUTES], "text.txt: expected a folder to write to, found"),
        ("gpu", ["--output=new", *MINUTES, "--batch_size=0"], "argument --batch_size: expected a whole number"),
        ("gpu.collect", [], "the following arguments are required: run"),
        ("gpu.collect", ["missing"], f"argument run: {NO_PATH}"),
        ("gpu.collect", ["empty"], "empty: expected the files NAME.safetensors of a run of benchmarks.gpu, found none"),
        ("gpu.collect", ["run"], "run/last.safetensors: expected the state of a training, found a .safetensors file"),
        ("jpeg", [], "expected a network and folders of HR pictures, or --report"),
        ("jpeg", ["text.txt", "pictures"], "text.txt: expected "),
        ("jpeg", [str(shipped("srmdnf_x2")), "pictures"], "expected a network that is told of JPEG, found SRMDNF"),
        ("jpeg", ["--report", "--scores=text.txt"], "text.txt: expected a file of scores, found KeyError('network')"),
        ("jpeg", ["--report", "--scores=missing"], "missing: expected scores, found none"),
        ("motion", ["pictures", "empty"], f"argument test_data: {NO_PICTURES}"),
        ("motion", ["pictures", "pictures", "0"], "argument steps: expected a whole number of at least 1, found '0'"),
        ("other_formats", ["empty"], NO_PICTURES),
        ("other_formats", ["text.txt"], "text.txt: not a picture of a known format"),
        ("paired_runs", ["--lossy=empty", "--lossless=pictures"], f"argument --lossy: {NO_PICTURES}"),
        ("processes", ["--train_data=missing"], f"argument --train_data: {NO_PATH}"),
        ("processes", ["--train_data=text.txt"], "text.txt: expected "),
        ("reproduce", ["missing", "pictures"], "WEIGHTS: expected a folder of networks, found nothing"),
        ("screenshots", ["dash"], "argument name: invalid choice: 'dash'"),
        ("sensitivity", ["text.txt"], "argument data: text.txt: expected a folder of pictures, found a file"),
        ("sensitivity", [f"--weights={shipped('srmdnf_x2')}"], "srmdnf_x2.safetensors: expected SRMD, which is told"),
        ("ship", [], "the following arguments are required: run"),
        ("ship", ["missing"], f"argument run: {NO_PATH}"),
        ("ship", ["empty"], f"empty/last.safetensors: {NO_FILE}"),
        ("ship", ["run"], f"run/config.json: {NO_FILE}"),
        ("ship", ["damaged"], "damaged/config.json: expected a run's configuration, found KeyError('train_data')"),
        ("ship", ["run", "empty"], f"argument folders: {NO_PICTURES}"),
        ("train_estimators", ["--minutes=0"], "argument --minutes: expected a number above 0, found '0'"),
        ("train_estimators", ["--train_data=text.txt"], "text.txt: expected "),
        ("train_weights", ["--train_data=missing"], f"argument --train_data: {NO_PATH}"),
        ("training", ["missing"], f"argument train_data: {NO_PATH}"),
        ("training", ["text.txt"], "text.txt: expected "),
        ("window", ["missing"], f"argument before: missing: {NO_FILE}"),
        ("window", ["text.txt"], "text.txt: expected "),
        ("window", ["text.txt", "--run=missing"], f"argument --run: {NO_PATH}"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_used_is_named_on_one_line(
    name: str, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    before = sorted(os.listdir())
    assert run(monkeypatch, f"benchmarks.{name}", *arguments) == 2
    *usage, error = capsys.readouterr().err.splitlines()
    assert message in error
    assert all(line.startswith(("usage: ", " ")) for line in usage)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(("name", "package"), [("engines", "ncnn"), ("screenshots", "playwright")])
def test_a_package_that_is_not_installed_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(sys.modules, package, None)
    assert run(monkeypatch, f"benchmarks.{name}", *(["panel"] if name == "screenshots" else [])) == 2
    assert capsys.readouterr().err.startswith(f"{package} is not installed: pip install -r requirements")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended, one_line_errors():
        (tmp_path / "missing" / "result.png").write_bytes(b"")
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"{tmp_path}/missing/result.png: No such file or directory\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_error_that_cannot_be_written_keeps_its_exit_code(tmp_path: Path):
    text = tmp_path / "text.txt"
    text.write_text("no weights")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "benchmarks.window", str(text)]
        done = subprocess.run(command, cwd=ROOT, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("error", [OSError("no file is named"), ValueError("a fault of the program")])
def test_other_errors_keep_their_traceback(error: Exception):
    with pytest.raises(type(error)), one_line_errors():
        raise error
