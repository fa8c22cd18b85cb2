"""Progress on the console."""

import errno
import io
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE
from srmd.cli import console
from srmd.cli.console import training_bar
from srmd.config import TrainConfig

ROOT = Path(__file__).parents[2]
ROW = {"loss": 0.02345, "images_per_s": 12.34}


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console.time, "monotonic", clock)
    return clock


def lines(
    clock: Clock, capsys: pytest.CaptureFixture, steps: int, seconds_per_step: float, first: int = 1
) -> list[str]:
    """What a training prints to a standard error that is no terminal."""
    with training_bar(TrainConfig(steps=steps)) as progress:
        for step in range(first, steps + 1):
            progress(step, ROW)
            clock.now += seconds_per_step
    output = capsys.readouterr().err
    assert "\r" not in output
    return output.splitlines()


def test_a_log_gets_a_line_every_ten_seconds(clock: Clock, capsys: pytest.CaptureFixture):
    printed = lines(clock, capsys, steps=30, seconds_per_step=1)
    assert printed[0] == "step 11 of 30, loss 0.0234, 12.3 images/s, 00:17 left"
    assert [line.split(",")[0] for line in printed] == ["step 11 of 30", "step 21 of 30", "step 30 of 30"]
    assert printed[-1] == "step 30 of 30, loss 0.0234, 12.3 images/s"


def test_the_log_of_a_long_training_has_a_hundred_lines(clock: Clock, capsys: pytest.CaptureFixture):
    assert len(lines(clock, capsys, steps=50_000, seconds_per_step=2)) == 100


def test_a_resumed_training_tells_the_time_that_is_left(clock: Clock, capsys: pytest.CaptureFixture):
    printed = lines(clock, capsys, steps=1000, seconds_per_step=20, first=981)
    assert printed[0].startswith("step 990 of 1000")
    assert printed[0].endswith("03:00 left")  # 10 steps until then in 180 seconds, because the first took none here


def test_before_the_first_loss_the_step_alone_is_shown(clock: Clock, capsys: pytest.CaptureFixture):
    with training_bar(TrainConfig(steps=1)) as progress:
        progress(1, None)
    assert capsys.readouterr().err == "step 1 of 1\n"


class FullDisk(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_line_that_cannot_be_written_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(console.sys, "stderr", FullDisk())
    with training_bar(TrainConfig(steps=1)) as progress:
        progress(1, ROW)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't wait for pipes")
def test_a_message_reaches_a_pipe_at_once():
    script = "import logging, sys; from srmd.cli.console import log_to_console; log_to_console(); "
    script += "logging.getLogger('srmd').info('begins'); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
        if not readable:
            process.kill()
        assert readable
        assert process.stdout.readline() == b"begins\n"
