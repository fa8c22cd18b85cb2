"""Fills the disk: small real ones, and at each single write of every mode."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from picture_files import save_smooth_picture
from torture.commands import RESTORE, check_one_line, check_run_folder, run, train
from torture.shim import shim_environment

SIZES = (1, 2, 4, 6, 9, 13, 17, 21, 25, 30, 60)  # MB; a run needs some 50 MB


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A context with a folder on a disk of this size."""
    folder = Path("disk")
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk() -> str:
    """Runs commands on small disks: one line that names a file, and what was written before can be read."""
    if os.geteuid() != 0:
        return "left out, because mounting a small disk needs the rights of root"
    Path("lr").mkdir()
    for number in range(12):
        save_smooth_picture(f"lr/{number}.png", np.random.default_rng(number), (200, 180))
    failed = 0
    for megabytes in SIZES:
        with small_disk(megabytes) as folder:
            commands = [
                train(folder / "run", "--train_data=pictures", "--steps=6", "--save_every=2"),
                ["--mode=prepare", "--train_data=lr", f"--output={folder}/a.h5"],
                ["lr", *RESTORE, f"--output={folder}/results"],
            ]
            for command in commands:
                code, error = run(*command)
                failed += code != 0
                if code:
                    check_one_line(code, error, "No space left on device", f"{folder}/")
            check_run_folder(folder / "run")
    assert failed, "no disk was full"
    return f"{len(SIZES)} disks of {SIZES[0]} to {SIZES[-1]} MB: {failed} commands failed, each with the file's name"


def every_write() -> str:
    """Lets each single write of every mode be the first that fails; see full_disk.py."""
    environment = shim_environment(TORTURE_FOLDER=str(Path("full").resolve()))
    command = [sys.executable, "-m", "torture.full_disk"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
