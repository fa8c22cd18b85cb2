"""Commands that restore folders: with estimates, with a progress bar, stopped, and several at once."""

import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patience import PATIENCE
from restoring_commands import COMMAND, ROOT, degraded, pictures, run, run_auto
from small_restoring import metrics, write_network
from srmd.cli.main import main
from terminals import read_to_end


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


@pytest.mark.slow
def test_pictures_without_flags_are_restored_with_what_is_estimated():
    Path("in").mkdir()
    for name, noise_level in (("clean", 0), ("noisy", 20)):
        degraded(noise_level).save(f"in/{name}.png")
    done = run_auto("in", "--output=out", "--save_kernel=kernels")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = re.findall(r"^in/(\w+)\.png: .*, noise ([\d.]+), no JPEG$", done.stdout.decode(), re.MULTILINE)
    noise_levels = {name: float(level) for name, level in lines}
    assert noise_levels["clean"] == 0
    assert noise_levels["noisy"] == pytest.approx(20, abs=3)
    rows = {row["name"]: row for row in metrics()["images"]}
    assert {name: Path(row["weights"]).stem for name, row in rows.items()} == {"clean": "srmdnf_x2", "noisy": "srmd_x2"}
    kernel = rows["clean"]["estimated"]["kernel"]
    assert float(re.split("[:,]", kernel)[1]) == pytest.approx(2, abs=0.5)
    assert sorted(path.name for path in Path("kernels").iterdir()) == ["clean.mat", "noisy.mat"]


def output_on_terminal(*flags: str) -> str:
    """What a command whose standard error is a terminal writes there."""
    primary, secondary = os.openpty()
    termios.tcsetwinsize(secondary, (24, 100))  # a bar fills the width, which would be 0
    process = subprocess.Popen([*COMMAND, *flags], stdout=subprocess.DEVNULL, stderr=secondary)
    os.close(secondary)
    output = read_to_end(primary)
    assert process.wait(timeout=600) == 0
    return output.decode()


@pytest.mark.slow
def test_a_terminal_shows_the_progress_over_the_whole_folder_with_the_time_left():
    pictures(12, size=(150, 150))
    Path("in/sub").mkdir()
    Image.new("RGB", (300, 150)).save("in/sub/large.png")
    shown = output_on_terminal("--input", "in", "--recursive", "--output=out", "--tile=60")
    shares = [int(share) for share in re.findall(r"(\d+)%\|", shown)]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert "315k/315k" in shown  # pixels of all pictures
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, ", shown)  # time passed and time left
    assert output_on_terminal("--input", "in", "--recursive", "--output=out") == ""  # all are skipped: no bar


def start_slowly(*flags: str, stops: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Starts a command in which each result takes a tenth of a second.

    Before each of the results with the numbers `stops`, it waits until the file `go-NUMBER` exists.
    """
    program = f"""
import itertools, os, signal, time
numbers = itertools.count(1)
def slow(*arguments):
    number = next(numbers)
    for stop in {stops}:
        while number >= stop and not os.path.exists(f"go-{{stop}}"):
            time.sleep(0.01)
    time.sleep(0.1)
    return write(*arguments)
signal.alarm(1800)  # ends the process if the test has ended without it
signal.signal(signal.SIGINT, signal.default_int_handler)  # unattended test runs may ignore it
import srmd.evaluate.restoring as restoring
write = restoring.write_picture
restoring.write_picture = slow
from srmd.__main__ import command
command()
"""
    command = [sys.executable, "-c", program, *COMMAND[2:], *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_results(count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(Path("out").glob("[0-9]*.png"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_was_stopped_goes_on_where_it_was(number: signal.Signals, code: int):
    pictures(40)
    process = start_slowly("--input", "in", "--output=out", stops=(6,))
    wait_for_results(5, process)
    process.send_signal(number)
    Path("go-6").touch()
    output, errors = process.communicate(timeout=600)
    assert process.returncode == code
    assert b"Traceback" not in errors
    done = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("[0-9]*.png")}
    assert 5 <= len(done) < 40
    if number == signal.SIGINT:
        assert f"stopped: restored {len(done)} of 40".encode() in output
        assert len(metrics()["images"]) == len(done)
        assert not list(Path("out").glob(".*"))
    assert main([*COMMAND[2:], "--input", "in", "--output=out"]) == 0
    assert metrics()["summary"] == {"restored": 40 - len(done), "skipped": len(done), "left_out": 0}
    assert {name: Path("out", name).stat().st_mtime_ns for name in done} == done
    assert len(metrics()["images"]) == 40
    assert not list(Path("out").glob(".srmd*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, None])
def test_runs_may_share_an_output_folder_and_what_each_has_restored_stays_known(number: signal.Signals | None):
    pictures(20)
    Path("other").mkdir()
    Path("in/0.png").rename("other/a.png")
    first = start_slowly("--input", "in", "--output=out", stops=(4, 8))
    wait_for_results(3, first)
    first.send_signal(signal.SIGSTOP)
    other = run("--input", "other", "--output=out")
    assert other.returncode == 0, other.stderr
    first.send_signal(signal.SIGCONT)
    Path("go-4").touch()
    wait_for_results(7, first)
    if number:
        first.send_signal(number)
    Path("go-8").touch()
    _, errors = first.communicate(timeout=600)
    assert first.returncode == (-number if number else 0), errors
    done = len(list(Path("out").glob("[0-9]*.png")))
    resumed = run("--input", "in", "--output=out")
    assert resumed.returncode == 0, resumed.stderr
    assert metrics()["summary"] == {"restored": 19 - done, "skipped": done, "left_out": 0}
    assert len(metrics()["images"]) == 20
    assert not list(Path("out").glob(".srmd*"))


RESTORE_AND_MEASURE = """
import resource, sys, time
import srmd.evaluate.restoring as restoring
from srmd.cli import main
write, times = restoring.write_picture, []
def timed_write(*arguments):
    times.append(time.process_time())
    write(*arguments)
restoring.write_picture = timed_write
assert main.main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, *times)
"""


@pytest.mark.slow
def test_five_thousand_small_pictures_take_no_more_memory_and_time_each_than_a_hundred():
    Path("in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(5000):
        width, height = rng.integers(16, 48, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(f"in/{number}.png")
    for number in range(0, 5000, 50):
        Path("few").mkdir(exist_ok=True)
        Path("few", f"{number}.png").write_bytes(Path("in", f"{number}.png").read_bytes())
    peaks = []
    for folder in ("few", "in"):
        command = [
            sys.executable,
            "-c",
            RESTORE_AND_MEASURE,
            "--mode=test",
            *COMMAND[2:],
            "--input",
            folder,
            f"--output=o_{folder}",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        peak, *times = done.stdout.splitlines()[-1].split()
        peaks.append(1024 * int(peak))
    assert peaks[1] - peaks[0] < 60e6
    seconds = np.diff(np.array(times, float)[::100])  # of processor time for each hundred of five thousand
    assert min(seconds[-10:]) < 4 * min(seconds[:10])
    assert metrics("o_in")["summary"]["restored"] == 5000
