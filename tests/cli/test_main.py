"""Runs of the command line: exit codes, messages, help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from srmd import __version__
from srmd.cli import main
from srmd.cli.flags import FLAGS

ROOT = Path(__file__).parents[2]
TEST = "--mode=test"
pytestmark = pytest.mark.usefixtures("folder_with_files")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--mode=test --kernel=missing.mat", 2, "--kernel: missing.mat: expected a file, found no such file\n"),
        ("--mode=train --steps=few", 2, "--steps: expected a whole number of at least 1, found 'few'\n"),
        ("--mode=dance", 2, "--mode: expected train, test, prepare, export or panel, found 'dance'\n"),
    ],
)
def test_the_command_prints_one_line_and_exits_with_the_code(arguments: str, code: int, message: str):
    command = [sys.executable, str(ROOT / "main.py"), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message)


def test_the_help_is_printed_and_flags_are_checked_without_importing_torch():
    program = """
import sys
from srmd.cli import main
try:
    code = main.main(sys.argv[1:])
except SystemExit as ended:  # after the help
    code = ended.code
sys.exit(code + 100 * ("torch" in sys.modules))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    Image.new("RGB", (20, 20)).save("empty/a.png")
    for arguments, code in (
        (["--help"], 0),
        (["--mode=test", "--kernel=gaussian:0"], 2),
        (["--mode=prepare", "--train_data=empty"], 0),
    ):
        command = [sys.executable, "-c", program, *arguments]
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == code


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_output_streams_do_not_change_the_exit_code(closed: str):
    command = f"{sys.executable} {ROOT / 'main.py'}"
    for arguments, code in (("--help", 0), ("--mode=dance", 2)):
        assert subprocess.run(f"{command} {arguments} {closed}", shell=True, check=False).returncode == code


@pytest.mark.parametrize("mode", ["train", "test", "prepare", "export", "panel"])
def test_help_lists_the_flags_of_a_mode_with_defaults(mode: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main([f"--mode={mode}", "--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    listed = {flag.name for flag in FLAGS if mode in flag.modes}
    for name in {flag.name for flag in FLAGS}:
        assert (f"--{name} " in printed or f"--{name}\n" in printed) == (name in listed)
    assert printed.count("(default:") == sum(mode in flag.modes for flag in FLAGS)


def test_failed_work_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def fail(_config: object, _processes: object) -> None:
        raise OSError("disk\nfull")

    monkeypatch.setattr(main, "run", fail)
    assert main.main(["--mode=prepare"]) == 1
    assert capsys.readouterr().err == "disk full\n"
    assert main.main(["--mode=prepare", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_without_arguments_the_help_is_printed(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 0
    assert "--mode=train" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"srmd {__version__}\n"


def test_threads_sets_the_threads_of_torch(monkeypatch: pytest.MonkeyPatch):
    import torch

    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(main, "_test", lambda request, processes: threads.append(request.threads))
    assert main.main([TEST, "--weights=file", "--threads=3"]) == 0
    assert threads == [3, 3]
