"""The package works without the modules and functions that Windows or macOS lack, which are hidden from it here.

The libraries are imported before anything is hidden, because on each system they adapt to that system.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
FILES = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "srmd").rglob("*.py") if path.stem != "__main__"]
MODULES = sorted(".".join(path.parts).removesuffix(".__init__") for path in FILES)
ALL_LIBRARIES = """
import h5py, matplotlib.pyplot, PIL.Image, safetensors.torch, scipy.io, scipy.sparse.linalg, skimage.data
import skimage.metrics, torch, torchvision, tqdm, visdom
"""
HIDE = """
import os, signal, subprocess, sys
from pathlib import Path
import filelock, numpy
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("getuid geteuid getgid getpgid setsid sysconf getloadavg fork killpg statvfs "
             "sched_getaffinity sched_setaffinity").split():
    delattr(os, name)
for name in "SIGHUP SIGPIPE SIGQUIT SIGKILL SIGSTOP SIGCONT SIGALRM SIGUSR1 SIGUSR2 SIGCHLD".split():
    delattr(signal, name)
"""


def run_without_unix(program: str, folder: Path, libraries: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program after hiding everything that exists on Unix only."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", libraries + HIDE + program]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def output_without_unix(program: str, folder: Path, libraries: str = "") -> str:
    done = run_without_unix(program, folder, libraries)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_module_can_be_imported(tmp_path: Path):
    program = f"""
import importlib
for name in {MODULES}:
    try:
        importlib.import_module(name)
    except Exception as error:
        if getattr(error, "name", None) not in ("gradio", "ncnn", "openvino"):  # optional libraries
            print(name, repr(error))
"""
    assert output_without_unix(program, tmp_path, ALL_LIBRARIES) == ""


def test_files_are_written_runs_are_locked_and_signals_are_handled(tmp_path: Path):
    program = """
from srmd.base.files import atomic_write
from srmd.train.run_folder import RunFolder
from srmd.base.signals import stop_requests
with atomic_write(Path("a")) as temporary:
    temporary.write_text("all")
with RunFolder(Path("run")).locked(), stop_requests() as requests:
    print(Path("a").read_text(), Path("run").is_dir(), requests)
print(Path("run").exists())
"""
    assert output_without_unix(program, tmp_path) == "all True []\nFalse\n"


def test_on_windows_a_file_is_synced_but_not_its_folder(tmp_path: Path):
    program = """
from srmd.base import files
files._sync = lambda path, mode: print(path.suffix, mode == os.O_RDWR)
path = Path("a.txt")
os.name = "nt"
with files.atomic_write(path) as temporary:
    temporary.touch()
"""
    assert output_without_unix(program, tmp_path) == ".txt True\n"


@pytest.mark.slow
def test_where_free_memory_is_unknown_auto_caches_pictures_only_if_the_device_has_room(tmp_path: Path):
    program = """
from srmd.train import memory as cache
for room in 200, 199:
    torch.cuda.mem_get_info = lambda device: (room, 1000)
    print(cache._choose_cache(100, torch.device("cuda")))
"""
    assert output_without_unix(program, tmp_path, "import torch") == "device\noff\n"


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_no_compiler_is_called_on_other_systems_than_linux(platform: str, monkeypatch: pytest.MonkeyPatch):
    from srmd.winograd import compiled

    called = []
    monkeypatch.setattr(subprocess, "run", lambda *command, **_: called.append(command))
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent")  # nothing is compiled yet
    monkeypatch.setattr(sys, "platform", platform)
    assert compiled.load.__wrapped__() is None
    assert called == []


def test_on_windows_ctrl_c_does_not_reach_the_visdom_server(tmp_path: Path):
    program = """
from srmd.show import visdom_server
subprocess.CREATE_NEW_PROCESS_GROUP = 512
subprocess.Popen = lambda *_, **options: print(options["creationflags"])
visdom_server._launch(1, None, "")
"""
    assert output_without_unix(program, tmp_path) == "512\n"


@pytest.mark.slow
def test_a_picture_is_restored(tmp_path: Path):
    Image.effect_mandelbrot((40, 30), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(tmp_path / "a.png")
    program = """
from srmd.cli import main
flags = "--mode=test --input a.png --kernel=gaussian:1.3 --output=out --visdom=off"
flags += " --device=cpu --engine=torch --precision=fp32"
print(main.main(flags.split()), Path("out/a.png").exists())
"""
    assert output_without_unix(program, tmp_path, ALL_LIBRARIES).endswith("0 True\n")


def test_a_closed_pipe_ends_the_program_without_output(tmp_path: Path):
    program = """
from srmd.cli import main
def run(*_):
    raise BrokenPipeError
main.run = run
sys.exit(main.main(["--mode=prepare"]))
"""
    done = run_without_unix(program, tmp_path)
    assert (done.returncode, done.stderr) == (141, "")
