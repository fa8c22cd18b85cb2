"""What Windows or macOS lack, hidden from this project: every module is imported, and does its ordinary work.

Libraries are loaded before, for on each system they know what it has; what Linux has would not be as it is there.
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


def without_unix(program: str, folder: Path, libraries: str = "") -> subprocess.CompletedProcess[str]:
    """What becomes of a program where all that only Unix has is hidden."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-c", libraries + HIDE + program]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def said(program: str, folder: Path, libraries: str = "") -> str:
    done = without_unix(program, folder, libraries)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_is_imported(tmp_path: Path):
    program = f"""
import importlib
for name in {MODULES}:
    try:
        importlib.import_module(name)
    except Exception as error:
        if getattr(error, "name", None) not in ("ncnn", "openvino"):  # which are optional
            print(name, repr(error))
"""
    assert said(program, tmp_path, ALL_LIBRARIES) == ""


def test_files_are_written_runs_are_locked_and_signals_are_requests(tmp_path: Path):
    program = """
from srmd.base.files import whole_file
from srmd.train.run_folder import RunFolder
from srmd.base.signals import stop_requests
with whole_file(Path("a")) as temporary:
    temporary.write_text("all")
with RunFolder(Path("run")).locked(), stop_requests() as requests:
    print(Path("a").read_text(), Path("run").is_dir(), requests)
print(Path("run").exists())
"""
    assert said(program, tmp_path) == "all True []\nFalse\n"


def test_windows_syncs_a_file_that_is_open_for_writing_and_no_folder(tmp_path: Path):
    program = """
from srmd.base import files
files._sync = lambda path, mode: print(path.suffix, mode == os.O_RDWR)
path = Path("a.txt")
os.name = "nt"
with files.whole_file(path) as temporary:
    temporary.touch()
"""
    assert said(program, tmp_path) == ".txt True\n"


def test_where_the_free_memory_is_unknown_auto_holds_pictures_only_where_the_device_has_room(tmp_path: Path):
    program = """
from srmd.train import memory as cache
for room in 200, 199:
    torch.cuda.mem_get_info = lambda device: (room, 1000)
    print(cache._choose_cache(100, torch.device("cuda")))
"""
    assert said(program, tmp_path, "import torch") == "device\noff\n"


def test_off_linux_no_compiler_is_called(tmp_path: Path):
    program = """
from srmd.winograd import compiled
compiled.subprocess.run = lambda *_, **__: print("called")
for sys.platform in "win32", "darwin":
    compiled.load.cache_clear()
    print(compiled.load())
"""
    assert said(program, tmp_path, "import torch") == "None\nNone\n"


def test_on_windows_the_visdom_server_is_out_of_reach_of_ctrl_c(tmp_path: Path):
    program = """
from srmd.show import visdom_server
subprocess.CREATE_NEW_PROCESS_GROUP = 512
subprocess.Popen = lambda *_, **given: print(given["creationflags"])
visdom_server._launch(1, None, "")
"""
    assert said(program, tmp_path) == "512\n"


@pytest.mark.slow
def test_a_picture_is_restored(tmp_path: Path):
    Image.effect_mandelbrot((40, 30), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(tmp_path / "a.png")
    program = """
from srmd.cli import main
flags = "--mode=test --input a.png --kernel=gaussian:1.3 --output=out --visdom=off"
flags += " --device=cpu --engine=torch --precision=fp32"
print(main.main(flags.split()), Path("out/a.png").exists())
"""
    assert said(program, tmp_path, ALL_LIBRARIES).endswith("0 True\n")


def test_a_closed_pipe_ends_quietly(tmp_path: Path):
    program = """
from srmd.cli import main
def run(config):
    raise BrokenPipeError
main.run, main.parse = run, str
sys.exit(main.main(["--mode=prepare"]))
"""
    done = without_unix(program, tmp_path)
    assert (done.returncode, done.stderr) == (141, "")
