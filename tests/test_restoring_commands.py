"""Commands that restore folders and streams: each in another process, or in the process of the tests."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from default_pca import default_pca
from picture_files import open_picture
from srmd.cli.main import main
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.photos import builtin_test_pictures
from srmd.weights.files import Weights, write_weights
from terminals import read_to_end

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "main.py"), "--weights=tiny.safetensors", "--kernel=delta", "--device=cpu"]
COMMAND += ["--visdom=off", "--engine=torch", "--precision=fp32"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(features=4, layers=3, conditions=("kernel",)))
    write_weights(Path("tiny.safetensors"), Weights(network, default_pca()))


def pictures(count: int, folder: str = "in", size: tuple[int, int] = (20, 16)) -> None:
    Path(folder).mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(f"{folder}/{number}.png")


def run_auto(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a command with the networks of the package, which estimates the kernel and the noise level."""
    command = [*COMMAND[:2], *COMMAND[4:], *flags]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=240)


def run(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *flags], input=stdin, capture_output=True, check=False, timeout=240)


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture) -> Callable:
    """Like `run`, but in the test's process, which has imported torch already."""

    def run(*flags: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([*COMMAND[2:], *flags])
        return subprocess.CompletedProcess(flags, code, *capfdbinary.readouterr())

    return run


def encoded(kind: str, size: tuple[int, int] = (20, 16), **options: object) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return image


def metrics(folder: str = "out") -> dict:
    return json.loads(Path(folder, "metrics.json").read_text())


@pytest.mark.slow
def test_a_picture_goes_from_standard_input_to_standard_output_and_messages_to_standard_error():
    exif = Image.Exif()
    exif[274] = 6  # turned by 90°
    piped = run("-", "--output=-", stdin=encoded("JPEG", exif=exif))
    assert piped.returncode == 0
    assert decoded(piped.stdout).size == (32, 40)
    assert decoded(piped.stdout).format == "PNG"
    assert b"restored 1 of 1" in piped.stderr
    assert not list(Path().glob("*.png"))
    assert not Path("-").exists()

    Path("in.jpg").write_bytes(encoded("JPEG", exif=exif))
    assert run("in.jpg", "--output=out").returncode == 0
    assert np.array_equal(np.asarray(open_picture("out/in.png")), np.asarray(decoded(piped.stdout)))

    kept = run("--input", "-", "--output=-", "--format=keep", "--size=9x11", stdin=encoded("JPEG"))
    assert (decoded(kept.stdout).format, decoded(kept.stdout).size) == ("JPEG", (9, 11))
    assert run("-", "--output=folder", stdin=encoded("PNG")).returncode == 0
    assert open_picture("folder/stdin.png").size == (40, 32)


def degraded(noise_level: int) -> Image.Image:
    photo = builtin_test_pictures()["chelsea"][20:276, 60:316]
    return Image.fromarray(srmd.degrade(photo, "gaussian:2", noise_level, scale=2, seed=0))


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


@pytest.mark.slow
def test_a_picture_from_standard_input_is_estimated():
    buffer = io.BytesIO()
    degraded(20).save(buffer, "PNG")
    piped = run_auto("-", "--output=-", "--save_kernel=k.mat", stdin=buffer.getvalue())
    assert piped.returncode == 0
    assert decoded(piped.stdout).size == (256, 256)
    assert re.search(rb"^standard input: .*, noise [\d.]+, no JPEG$", piped.stderr, re.MULTILINE)
    assert Path("k.mat").is_file()


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"", b"--input: expected a picture on standard input, found nothing\n"),
        (b"no picture", b"--input: standard input: not a picture of a known format\n"),
        (encoded("PNG")[:600], b"--input: standard input: a broken picture"),
    ],
)
def test_what_is_no_picture_on_standard_input_is_refused(run_here: Callable, stdin: bytes, message: bytes):
    done = run_here("-", "--output=-", stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.splitlines(keepends=True)[-1].startswith(message)
    assert b"srmd-" not in done.stderr  # the temporary file


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_standard_output_is_named(run_here: Callable, monkeypatch: pytest.MonkeyPatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        done = run_here("-", "--output=-", stdin=encoded("PNG"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"standard output: No space left on device"


def test_too_much_on_standard_input_is_refused_and_not_kept(
    run_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    done = run_here("-", "--output=-", "--max_pixels=375000", stdin=bytes(4_000_000))
    assert done.returncode == 2
    assert done.stderr == b"--input: expected at most 3 MB on standard input (--max_pixels), found more\n"
    assert not list((tmp_path / "temporary").iterdir())


def test_several_pictures_do_not_fit_on_standard_output(run_here: Callable):
    pictures(2)
    done = run_here("--input", "in", "--output=-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"--output: expected one picture for standard output, found 2\n"


@pytest.mark.slow
def test_a_file_named_dash_is_a_file():
    Path("-").write_bytes(encoded("PNG"))
    assert run("--input", "./-", "--output=out", "--format=tiff").returncode == 0
    assert open_picture("out/-.tiff").size == (40, 32)
    assert run("--input", "-", "--output=-", stdin=encoded("PNG")).returncode == 0


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_ends_the_command():
    Path("in.png").write_bytes(encoded("PNG", size=(200, 200)))  # a result that is larger than the pipe's buffer
    process = subprocess.Popen([*COMMAND, "in.png", "--output=-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr:
        assert b"Traceback" not in process.stderr.read()
    assert process.wait(timeout=240) == 141


def test_a_terminal_neither_gives_nor_gets_a_picture():
    primary, secondary = os.openpty()
    try:
        to_terminal = subprocess.run([*COMMAND, "-", "--output=-"], stdin=secondary, capture_output=True, check=False)
        assert (to_terminal.returncode, to_terminal.stderr) == (
            2,
            b"--input: expected a picture on standard input, found a terminal\n",
        )
        Path("in.png").write_bytes(encoded("PNG"))
        command = [*COMMAND, "in.png", "--output=-"]
        done = subprocess.run(command, stdout=secondary, stderr=subprocess.PIPE, check=False)
        assert done.stderr == b"--output: expected a pipe or a file as standard output, found a terminal\n"
    finally:
        os.close(primary)
        os.close(secondary)


def output_on_terminal(*flags: str) -> str:
    """What a command whose standard error is a terminal writes there."""
    primary, secondary = os.openpty()
    termios.tcsetwinsize(secondary, (24, 100))  # a bar fills the width, which would be 0
    process = subprocess.Popen([*COMMAND, *flags], stdout=subprocess.DEVNULL, stderr=secondary)
    os.close(secondary)
    output = read_to_end(primary)
    assert process.wait(timeout=240) == 0
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


def start_slowly(*flags: str) -> subprocess.Popen[bytes]:
    """Starts a command in which each result takes a tenth of a second."""
    program = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # unattended test runs may ignore it
import srmd.evaluate.restoring as restoring
write = restoring.write_picture
restoring.write_picture = lambda *arguments: (time.sleep(0.1), write(*arguments))
from srmd.__main__ import command
command()
"""
    command = [sys.executable, "-c", program, *COMMAND[2:], *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_results(count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while len(list(Path("out").glob("[0-9]*.png"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_was_stopped_goes_on_where_it_was(number: signal.Signals, code: int):
    pictures(40)
    process = start_slowly("--input", "in", "--output=out")
    wait_for_results(5, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == code
    assert b"Traceback" not in errors
    done = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("[0-9]*.png")}
    assert len(done) < 40
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
    first = start_slowly("--input", "in", "--output=out")
    wait_for_results(3, first)
    first.send_signal(signal.SIGSTOP)
    other = run("--input", "other", "--output=out")
    assert other.returncode == 0, other.stderr
    done = len(list(Path("out").glob("[0-9]*.png")))
    first.send_signal(signal.SIGCONT)
    wait_for_results(done + 3, first)
    if number:
        first.send_signal(number)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == (-number if number else 0), errors
    done = len(list(Path("out").glob("[0-9]*.png")))
    resumed = run("--input", "in", "--output=out")
    assert resumed.returncode == 0, resumed.stderr
    assert metrics()["summary"] == {"restored": 19 - done, "skipped": done, "left_out": 0}
    assert len(metrics()["images"]) == 20
    assert not list(Path("out").glob(".srmd*"))


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
    read = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    program = f"import sys; from srmd.cli import main; assert main.main(sys.argv[1:]) == 0; {read}"
    peaks, seconds = [], []
    for folder in ("few", "in"):
        command = [
            sys.executable,
            "-c",
            program,
            "--mode=test",
            *COMMAND[2:],
            "--input",
            folder,
            f"--output=o_{folder}",
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        peaks.append(1024 * int(done.stdout.splitlines()[-1]))
        summary = re.search(r"restored (\d+) of \d+ in ([\d.]+) s", done.stdout)
        seconds.append(float(summary[2]) / int(summary[1]))
    assert peaks[1] - peaks[0] < 60e6
    assert seconds[1] < 2 * seconds[0]
    assert metrics("o_in")["summary"]["restored"] == 5000
