"""The commands of benchmarks/gpu.md: pictures in parts, and a run of real processes that is killed and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import settings
from benchmarks.gpu.__main__ import parse
from benchmarks.plans import ROOT
from documents import blocks

MAX_FILE = 16 * 2**20  # bytes
NETWORKS = ("srmdnf_x2", "srmd_x4")
SMALL = ["--train_data=pictures", "--batch_size=8", "--patch_size=8", "--lr=1e-4", "--networks", *NETWORKS]
# What a machine without this package's requirements may lack.
MISSING = ("filelock", "gradio", "ncnn", "openvino", "playwright", "torchvision", "tornado", "visdom")


def test_the_parts_of_the_pictures_are_joined_again(folder_with_pictures: None):
    make, _, join = (block.text for block in blocks("benchmarks/gpu.md")[:3])
    assert "split -b 34M " in make  # parts of at most 35 MiB
    shell(make.replace("-b 34M", "-b 4K"))
    assert len(list(Path("parts").glob("pictures.tar.??"))) > 2
    pictures = Path("pictures").rename("original")
    Path("pictures.tar").unlink()
    join = join.partition("python -m pytest")[0]
    shell(join)
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["a.png", "b.png", "c.png"]
    assert Path("pictures/a.png").read_bytes() == (pictures / "a.png").read_bytes()
    part = Path("parts/pictures.tar.01")
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(subprocess.CalledProcessError):
        shell(join)


def shell(commands: str) -> None:
    subprocess.run(["sh", "-ec", commands], check=True, capture_output=True)


def test_the_commands_of_the_page_have_flags_that_exist():
    commands = [words for block in blocks("benchmarks/gpu.md") for words in block.commands()]
    trainings = [words[words.index("benchmarks.gpu") + 1 :] for words in commands if "benchmarks.gpu" in words]
    assert len(trainings) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.commands.existing", Path)
        killed, resumed, run = (vars(parse(words)) for words in trainings)
    assert killed == resumed
    assert run["networks"] == settings.NETWORKS


# A job in which packages that a bare machine lacks cannot be imported. Its clock advances by five seconds in each
# round of steps and stands still otherwise, so that the number of rounds does not depend on the machine. It waits to be
# killed before the round whose number is the first argument.
JOB = f"""
import runpy, sys, time
sys.modules |= dict.fromkeys({MISSING})
from benchmarks.gpu import clock
from benchmarks.gpu.group import TrainingGroup
last_round, seconds, train_round = int(sys.argv.pop(1)), [0.0], TrainingGroup.train_round
clock.STARTED, clock.monotonic = 0.0, lambda: seconds[0]
def timed_round(*arguments, **options):
    if seconds[0] == 5 * (last_round - 1):
        time.sleep(3600)
    train_round(*arguments, **options)
    seconds[0] += 5
TrainingGroup.train_round = timed_round
sys.argv[0] = "gpu"
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


def process(folder: Path, total_minutes: float, last_round: int = 1000) -> subprocess.Popen:
    """A job in a process of its own."""
    flags = [f"--minutes={total_minutes}", f"--total_minutes={total_minutes}", "--save_minutes=0.02", "--output=run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", JOB, str(last_round), *flags, *SMALL]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.usefixtures("folder_with_pictures")
def test_a_run_goes_on_after_a_kill_on_a_bare_machine_and_ends_with_its_time():
    Path("weights").symlink_to(ROOT / "weights")
    with process(Path.cwd(), 2, last_round=4) as killed:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not (Path("run/metrics.jsonl").exists() and rows_of_steps()):
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    before = rows_of_steps()
    assert before, "the first job saved nothing"
    with process(Path.cwd(), 2) as resumed:
        output, _ = resumed.communicate(timeout=900)
    assert resumed.returncode == 0, output
    assert "the run is finished" in output
    rows = rows_of_steps()
    assert rows[: len(before)] == before
    assert rows[len(before)]["elapsed"] > before[-1]["elapsed"]
    steps = [row["step"] for row in rows if row["network"] == "srmd_x4"]
    assert steps == sorted(set(steps))
    assert rows[-1]["elapsed"] == 120
    assert rows[-1]["lr"] < 0.01 * max(row["lr"] for row in rows)
    assert all(path.stat().st_size <= MAX_FILE for path in Path("run").iterdir())


def rows_of_steps() -> list[dict]:
    """The complete rows of metrics.jsonl that were logged after steps."""
    lines = Path("run/metrics.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return [row for row in rows if row["step"]]
