"""Kills processes with SIGKILL, at random moments and inside the writing of each kind of file."""

import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from picture_files import open_picture, save_smooth_picture
from torture.commands import (
    KILLED,
    RESTORE,
    check_equal_runs,
    check_run_folder,
    run,
    start,
    temporary_files,
    train,
)

SAVED = (".pt", ".safetensors", ".png", ".jsonl")  # kinds of files that are written atomically in a run
FLAGS = ("--train_data=pictures", "--steps=24", "--save_every=2")
LONGEST_LIFE = 9.0  # seconds until a kill at a random moment: the start of the process, and some saves
PICTURES = 40


def kills(count: int) -> str:
    """Kills training runs; in the end each equals one that was never interrupted, in all its files."""
    rng = np.random.default_rng(0)
    whole, killed = Path("uninterrupted"), Path("killed")
    code, error = run(*train(whole, *FLAGS))
    assert code == 0, error
    inside, found, done, finished = Counter(), set(), 0, 0
    while done < count:
        process = start(*train(killed, *FLAGS))
        if done % 2:
            _wait_for_write(process, killed, SAVED[done // 2 % len(SAVED)])
        else:
            _wait_for_end(process, rng.uniform(0, LONGEST_LIFE))
        process.kill()
        _, error = process.communicate()
        assert process.returncode in (0, KILLED), error
        if process.returncode == KILLED:
            done += 1
            inside.update(path.suffix for path in set(temporary_files(killed)) - found)
            found |= set(temporary_files(killed))
            check_run_folder(killed)
        else:  # the run came to its end
            finished += 1
            check_equal_runs(whole, killed)
            shutil.rmtree(killed)
    code, error = run(*train(killed, *FLAGS))
    assert code == 0, error
    check_equal_runs(whole, killed)
    written = ", ".join(f"{number} {suffix}" for suffix, number in inside.items())
    kinds = f"{inside.total()} of them inside a write ({written})"
    return f"{done} kills, {kinds}; runs that came to their end, all equal in bits: {finished + 1}"


def restoring(count: int) -> str:
    """Kills commands that restore a folder: every result is whole, and the next command completes the folder."""
    rng = np.random.default_rng(1)
    folder, output = Path("lr"), Path("restored")
    folder.mkdir()
    for number in range(PICTURES):
        save_smooth_picture(folder / f"{number:02}.png", rng, (48, 40))
    command = [str(folder), *RESTORE]
    assert run(*command, "--output=whole")[0] == 0
    expected = {path.name: path.read_bytes() for path in Path("whole").glob("*.png")}
    inside, found, done = 0, set(), 0
    while done < count:
        process = start(*command, f"--output={output}")
        results = len(list(output.glob("[0-9]*.png")))
        target = min(results + int(rng.integers(1, 8)), PICTURES - 1)
        while process.poll() is None and len(list(output.glob("[0-9]*.png"))) < target:
            time.sleep(0.002)
        if done % 2:
            _wait_for_write(process, output, ".png")
        process.kill()
        process.communicate()
        inside += bool(set(temporary_files(output)) - found)
        found |= set(temporary_files(output))
        done += process.returncode == KILLED
        for path in output.glob("[0-9]*.png"):
            open_picture(path)
            assert path.read_bytes() == expected[path.name], path
        if process.returncode == 0:
            shutil.rmtree(output)
    code, error = run(*command, f"--output={output}")
    assert code == 0, error
    assert {path.name: path.read_bytes() for path in output.glob("[0-9]*.png")} == expected
    return f"{done} kills, {inside} of them inside a write: the results are whole, and the next command completes them"


def _wait_for_write(process: subprocess.Popen, folder: Path, suffix: str) -> None:
    """Returns when a file with this suffix is being written, or the process has ended."""
    old = set(temporary_files(folder, suffix))
    while process.poll() is None and not set(temporary_files(folder, suffix)) - old:
        time.sleep(0.0005)


def _wait_for_end(process: subprocess.Popen, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
