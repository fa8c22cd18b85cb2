"""The command in a process: its start, its streams, and signals."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
# Sends a signal to itself when NumPy is imported, which is one of the first imports of the command.
INTERRUPTED = """
import os, runpy, signal, sys
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            os.kill(os.getpid(), int(number))
number, path = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.meta_path.insert(0, Interrupter())
sys.argv = [path, "--version"]
sys.path.insert(0, os.path.dirname(path))
runpy.run_path(path, run_name="__main__")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("program", ["main.py", "srmd/__main__.py"])
def test_a_signal_during_the_imports_ends_the_command_without_a_traceback(
    program: str, number: signal.Signals, code: int
):
    command = [sys.executable, "-c", INTERRUPTED, str(int(number)), str(ROOT / program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_the_command_imports_only_three_modules_before_it_handles_signals():
    def imported(statement: str) -> set[str]:
        code = f"import sys; {statement}; print(*sys.modules)"
        return set(subprocess.check_output([sys.executable, "-S", "-c", code], cwd=ROOT, text=True).split())

    assert imported("import srmd.__main__") - imported("import os, signal") == {"srmd", "srmd.__main__"}


def test_ctrl_c_while_the_signal_module_is_imported_ends_the_command_without_a_traceback():
    code = """
import _signal, sys
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "enum":
            _signal.raise_signal(_signal.SIGINT)
_signal.signal(_signal.SIGINT, _signal.default_int_handler)
sys.meta_path.insert(0, Interrupter())
import srmd.__main__
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# Sends a signal while torch is imported, and turns the exception of the signal's handler into an ImportError, as
# compiled modules do.
INTERRUPTED_MODULE = """
import os, runpy, signal, sys
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            try:
                signal.raise_signal(int(number))
            except BaseException as error:
                raise ImportError("initialization failed") from error
number, path, *flags = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.meta_path.insert(0, Interrupter())
sys.argv = [path, *flags]
sys.path.insert(0, os.path.dirname(path))
runpy.run_path(path, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("flags", ["--input {photo} --kernel=delta", "--mode=train", "--mode=test --threads=1"])
def test_a_signal_while_a_compiled_module_is_imported_ends_the_command(
    flags: str, number: signal.Signals, code: int, tmp_path: Path
):
    words = flags.format(photo=ROOT / "img" / "results.png").split()
    command = [sys.executable, "-c", INTERRUPTED_MODULE, str(int(number)), str(ROOT / "main.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("flags", [["--help"], ["--mode=test", "--help"], ["--version"], ["--list_weights"]])
def test_help_that_cannot_be_written_is_an_error(flags: list[str]):
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(ROOT / "main.py"), *flags]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "standard output: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_lines_of_progress_that_cannot_be_written_do_not_change_the_exit_code(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.effect_noise((160, 160), 50).convert("RGB").save(tmp_path / "photos" / name)
    flags = ["--mode=train", f"--train_data={tmp_path / 'photos'}", "--steps=1", "--batch_size=1", "--patch_size=8"]
    flags += [f"--output={tmp_path / 'run'}", "--visdom=off"]
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(ROOT / "main.py"), *flags]
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("flags", [["--bogus"], ["--bogus", "--debug"], ["nothing.png"]])
def test_an_error_that_cannot_be_written_keeps_its_exit_code(flags: list[str], tmp_path: Path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, str(ROOT / "main.py"), *flags]
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == 2


def test_a_picture_for_a_closed_standard_output_is_refused(tmp_path: Path):
    Image.new("RGB", (20, 16)).save(tmp_path / "photo.png")
    flags = [str(tmp_path / "photo.png"), "--kernel=delta", "--output=-"]
    closing = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [sys.executable, "-c", closing, str(ROOT / "main.py"), *flags]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    expected = "--output: expected a file or a pipe as standard output, found it closed\n"
    assert (done.returncode, done.stderr) == (2, expected)
