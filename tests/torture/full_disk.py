"""Lets each write of every mode be the first that fails, in forks of one process; `every_write` of disk.py starts it.

The library of shim.c is preloaded: from the n-th write below the folder `full` on, all writes fail as on a full disk.
"""

import ctypes
import itertools
import json
import os
import re
import shutil
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import h5py  # noqa: F401 - so that the forks need not import it
import torch

import srmd.evaluate.run
import srmd.training_run  # noqa: F401 - so that the forks need not import it
from picture_files import open_picture
from srmd.base.files import TEMPORARY_FILES
from srmd.cli import main
from srmd.evaluate.records import is_results_folder
from srmd.kernel.files import read_kernels
from srmd.packs.reader import PackedPictures
from srmd.weights.files import read_weights
from torture.commands import RESTORE, TRAIN, check_run_folder

PICTURE = "../pictures/a.png"
NETWORK = "weights.safetensors"
CPU = ["--device=cpu", "--engine=torch"]  # threads of OpenVINO, if this process had any, would be missing in the forks
COMMANDS = {  # in the folder `full`
    "train": [*TRAIN, "--train_data=../pictures", "--steps=4", "--save_every=2", "--output=run"],
    "resume": ["--mode=train", "--resume=run", "--visdom=off"],
    "prepare": ["--mode=prepare", "--train_data=../pictures", "--output=a.h5"],
    "restore": ["../pictures", *RESTORE, "--engine=torch", "--output=results"],
    "formats": [PICTURE, *RESTORE, "--engine=torch", "--format=jpg", "--output=results"],
    "file": [PICTURE, *RESTORE, "--output=result.tiff"],
    "sheet": [PICTURE, "--kernel_grid=0.5,1", "--noise_grid=0,5", *CPU, "--output=results"],
    "estimated": [PICTURE, "--kernel=auto", "--noise_level=auto", *CPU, "--save_kernel=k", "--output=r"],
    "map": [PICTURE, "--estimate_map", *CPU, "--output=results"],
    "kernel": [PICTURE, "--kernel=gaussian:1", *CPU, "--save_kernel=k.mat", "--output=results"],
    "test": ["--mode=test", "--test_data=../pictures", *CPU, "--visdom=off", "--save_lr", "--output=results"],
}
# Those that measure the speed of engines and compile code in each attempt, and write both to the full disk.
WITH_OWN_CACHE = [COMMANDS["file"]]
FULL = "No space left on device"


def attempt(command: list[str], first_failing: int, prepared: Path | None) -> tuple[int, str, int]:
    """Runs a command in a fork; its exit code, standard error and the number of its writes."""
    folder = Path("full")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared, folder) if prepared else folder.mkdir()
    child = os.fork()
    if child == 0:
        output = os.open("output", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(Path("cache" if command in WITH_OWN_CACHE else "../cache").resolve())
        shim = ctypes.CDLL(None)
        shim.fail_writes_from(ctypes.c_long(first_failing))
        main.silence_libraries(command)
        code = main.main(command)
        Path("../writes").write_text(str(shim.counted_writes()))
        sys.stdout.flush()
        os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, Path("output").read_text(), int(Path("writes").read_text())


def check_files(folder: Path) -> None:
    """Reads every file that is left; only lines of a log may be cut short."""
    for run in folder.glob("*/config.json"):
        check_run_folder(run.parent)
    for path in (path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts):
        assert not path.match(TEMPORARY_FILES), f"{path} is left over"
        if path.suffix in (".png", ".jpg", ".tiff"):
            open_picture(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".h5":
            PackedPictures(path).close()
        elif path.suffix in (".mat", ".npy"):
            read_kernels(path)
        elif path.suffix == ".safetensors":
            read_weights(path)
    for results in folder.glob("r*/"):
        is_results_folder(results)


def check_error(name: str, number: int, code: int, output: str) -> None:
    """Asserts that the command failed with one line that names a file, or that it could do without the write."""
    lines = [line for line in output.splitlines() if FULL in line]
    case = f"{name}, write {number}: exit code {code}\n{output}"
    assert "Traceback" not in output, case
    if code == 0:
        return
    assert code == 1, case
    assert len(lines) == 1, case
    assert re.match(r"(?!No space)[^:]*[\w-]+(\.\w+|/[\w-]+): ", lines[0]), case


def warm_up() -> None:
    """Runs the commands in this process, so that the forks need not import modules, compile code and list fonts."""
    os.environ["XDG_CACHE_HOME"] = str(Path("cache").resolve())
    Path("warm").mkdir()
    with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null), chdir("warm"):
        for name in ("train", "prepare", "sheet", "estimated", "map", "test"):
            code = main.main(COMMANDS[name])
            assert code == 0, name


def main_of_part() -> int:
    """Runs all commands; prints a line, or a traceback of the first fault."""
    torch.set_num_threads(1)
    warm_up()
    attempts = failures = 0
    prepared = None
    for name, command in COMMANDS.items():
        if name == "resume":
            prepared = _half_a_run()
        code, output, count = attempt(command, 2**40, prepared)
        assert code == 0, f"{name}: {output}"
        for number in itertools.count(1):
            if number > count:
                break
            code, output, _ = attempt(command, number, prepared)
            attempts, failures = attempts + 1, failures + (code != 0)
            check_error(name, number, code, output)
            check_files(Path("full"))
        prepared = None
    print(f"{attempts} writes of {len(COMMANDS)} commands: {failures} commands failed, each with the file's name")
    return 0


def _half_a_run() -> Path:
    """A folder with a run that can be resumed."""
    code, output, _ = attempt(COMMANDS["train"], 2**40, None)
    assert code == 0, output
    Path("full/run/checkpoint-0000004.pt").unlink()
    return Path(shutil.copytree("full", "prepared"))


if __name__ == "__main__":
    sys.exit(main_of_part())
