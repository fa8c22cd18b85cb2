"""Kills training runs, fills disks and watches memory, with real processes; minutes to an hour (`make torture`).

    python -m torture.run                       # all parts
    python -m torture.run --parts kills disk    # some of them

Each part raises AssertionError at the first fault. The part `disk` mounts a small tmpfs and needs the rights of root.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from picture_files import save_smooth_picture
from small_runs import have_same_weights
from srmd.base.files import TEMPORARY_FILES
from srmd.weights.checkpoint import load_checkpoint
from srmd.weights.files import read_weights

STEPS = 60
TRAIN = f"--mode=train --batch_size=2 --patch_size=8 --device=cpu --visdom=off --precision=fp32 --steps={STEPS}".split()
KILLED = -signal.SIGKILL
DISK_SIZES = range(1, 40, 3)  # MB; a run needs some 30 MB
MAX_SLOPE = 2.0  # MB per 1000 steps of a long training
MAX_GROWTH = 60  # MB of memory from the first 500 pictures to the last


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "srmd", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of the command."""
    process = start(*arguments)
    _, error = process.communicate()
    return process.returncode, error


def train(output: str | Path, *flags: str) -> list[str]:
    return [*TRAIN, "--train_data=pictures", f"--output={output}", "--save_every=3", *flags]


def check_run_folder(folder: Path) -> None:
    """Every checkpoint but those that were set aside, and the network, can be read."""
    for path in folder.glob("checkpoint-*.pt"):
        load_checkpoint(path)
    if (folder / "last.safetensors").exists():
        read_weights(folder / "last.safetensors")


def kills(count: int) -> None:
    """Kills a run at random moments and inside saves; in the end it equals one that was never killed."""
    rng = np.random.default_rng(0)
    code, error = run(*train("uninterrupted"))
    assert code == 0, error
    killed = 0
    for number in range(10 * count):
        process = start(*train("killed", *(["--resume"] if Path("killed/config.json").exists() else [])))
        inside_a_save = number % 2 == 1
        if inside_a_save:
            _wait_for_save(process, Path("killed"))
        else:
            time.sleep(rng.uniform(0, 12))
        process.kill()
        process.communicate()
        killed += process.returncode == KILLED
        if Path("killed").exists():
            check_run_folder(Path("killed"))
        if killed == count:
            break
    code, error = run(*train("killed", "--resume"))
    assert code == 0, error
    assert have_same_weights("killed", "uninterrupted")
    assert not list(Path("killed").rglob(TEMPORARY_FILES))
    print(f"{killed} kills: the resumed run equals the uninterrupted one")


def _wait_for_save(process: subprocess.Popen, folder: Path) -> None:
    """Returns when a temporary file appears in the folder, or the process has ended."""
    while process.poll() is None and not (folder.exists() and any(folder.glob(TEMPORARY_FILES))):
        time.sleep(0.001)


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


def disk(_count: int) -> None:
    """Fills the disk at different writes: one line that names a file, and what was written before can be read."""
    if os.geteuid() != 0:
        print("disk: left out, because mounting a small disk needs the rights of root")
        return
    for megabytes in DISK_SIZES:
        with small_disk(megabytes) as folder:
            code, error = run(*train(folder / "run", "--save_every=10"))
            _check_full(code, error, folder)
            if (folder / "run").exists():
                check_run_folder(folder / "run")
            code, error = run("--mode=prepare", "--train_data=pictures", f"--output={folder}/a.h5")
            _check_full(code, error, folder)
            code, error = run("pictures", "--kernel=delta", "--device=cpu", f"--output={folder}/results")
            _check_full(code, error, folder)
    print(f"disks of {DISK_SIZES[0]} to {DISK_SIZES[-1]} MB: every error names its file")


def _check_full(code: int, error: str, folder: Path) -> None:
    lines = [line for line in error.splitlines() if line and not re.match(r"\s*\d+%|warning: |left out", line)]
    if code:
        assert code == 1, error
        assert len(lines) == 1, error
        assert "No space left on device" in error, error
        assert str(folder) in error, error


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1e3


def memory(minutes: int) -> None:
    """Measures the slope of a long training's memory."""
    process = start(*train("long", "--steps=1000000", "--save_every=500"))
    samples, end = [], time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(2)
        samples.append(resident(process.pid))
    process.send_signal(signal.SIGHUP)
    _, error = process.communicate()
    assert process.returncode == 129, error
    steps = max(load_checkpoint(path).step for path in Path("long").glob("checkpoint-*.pt"))
    tail = samples[len(samples) // 4 :]  # memory is allocated in the first steps
    growth = np.polyfit(np.arange(len(tail)), tail, 1)[0] * len(tail)
    slope = 1000 * growth / (0.75 * steps)
    print(f"memory: {slope:.2f} MB per 1000 steps over {steps} steps, {tail[-1]:.0f} MB")
    assert slope < MAX_SLOPE


def pictures(count: int = 5000) -> None:
    """Restores many pictures and compares the memory of the first with that of the last ones."""
    Path("many").mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(f"many/{number}.png")
    process, early, late = start("many", "--kernel=delta", "--device=cpu", "--output=restored"), 0.0, 0.0
    while process.poll() is None:
        time.sleep(0.5)
        done = sum(entry.name.endswith(".png") for entry in os.scandir("restored")) if Path("restored").exists() else 0
        late = max(late, resident(process.pid)) if process.poll() is None else late
        if done <= count // 10:
            early = max(early, late)
    _, error = process.communicate()
    assert process.returncode == 0, error
    print(f"{count} pictures: {early:.0f} MB after a tenth of them, {late:.0f} MB at most")
    assert late - early < MAX_GROWTH


PARTS: dict[str, Callable[[int], None]] = {
    "kills": kills,
    "disk": disk,
    "memory": memory,
    "pictures": pictures,
}


def main() -> int:
    """Runs the parts that the command line names in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--minutes", type=int, default=20, help="of the part memory")
    parser.add_argument("--pictures", type=int, default=5000)
    values = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unmounts the small disk
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    numbers = {"kills": values.kills, "disk": 0, "memory": values.minutes, "pictures": values.pictures}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("pictures").mkdir()
        for name in "abc":
            save_smooth_picture(f"pictures/{name}.png", np.random.default_rng(0), (84, 72))
        for part in values.parts:
            PARTS[part](numbers[part])
        os.chdir("/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
