"""Whole commands, each in another process."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import scipy.io
import visdom
from PIL import Image

from benchmarks.browser import free_port
from default_pca import default_pca
from patience import PATIENCE
from picture_files import open_picture
from srmd.model import SRMD, NetworkConfig
from srmd.show import visdom_server
from srmd.weights.files import Weights, write_weights

ROOT = Path(__file__).parents[1]
QUICK = ["--batch_size=2", "--patch_size=12", "--visdom=off"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # where a visdom server saves its environments


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments: str) -> subprocess.CompletedProcess:
    process = start(*arguments)
    output, errors = process.communicate(timeout=600)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def wait_for(condition, process: subprocess.Popen, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_prepare_train_test_and_restore():
    Path("photos").mkdir()
    for number, mode in enumerate(["RGB", "L", "RGBA"]):
        Image.effect_mandelbrot((120, 100), (-2 + number, -1.5, 1, 1.5), 50).convert(mode).save(f"photos/{number}.png")
    Path("photos/broken.png").write_text("no picture")

    packed = run("--mode=prepare", "--train_data=photos", "--output=photos.h5")
    assert packed.returncode == 0
    assert "packed 3 pictures into photos.h5" in packed.stdout
    assert "left out 1 broken" in packed.stdout
    assert "warning: left out: photos/broken.png" in packed.stdout

    trained = run("--mode=train", "--scale_factor=3", "--train_data=photos.h5", "--steps=3", "--output=run", *QUICK)
    assert trained.returncode == 0, trained.stderr

    kernel = str(ROOT / "kernels" / "isotropic_1.3.mat")
    scipy.io.savemat("own.mat", {"any_name": scipy.io.loadmat(kernel)["kernel"]})
    tested = run("--mode=test", "--weights=run/last.safetensors", "--kernel=own.mat", "--output=scored", "--save_lr")
    assert tested.returncode == 0, tested.stderr
    assert "applied: kernel own.mat" in tested.stdout
    assert {image["name"] for image in json.loads(Path("scored/metrics.json").read_text())["images"]} == {
        "astronaut",
        "chelsea",
        "coffee",
    }

    lr = open_picture("scored/lr/chelsea.png")
    restored = run(
        "--mode=test",
        "--weights=run/last.safetensors",
        "--input",
        "scored/lr/chelsea.png",
        f"--kernel={kernel}",
        "--output=restored",
    )
    assert restored.returncode == 0, restored.stderr
    assert open_picture("restored/chelsea.png").size == (3 * lr.width, 3 * lr.height)


@pytest.mark.slow
def test_training_on_the_built_in_set_ends_cleanly_on_ctrl_c():
    process = start("--scale_factor=2", "--mode=train")
    wait_for(lambda: list(Path().glob("runs/*/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    (folder,) = Path("runs").iterdir()
    assert list(folder.glob("checkpoint-*.pt"))
    assert (folder / "last.safetensors").exists()
    assert f"Training in {folder}" in output


@pytest.mark.slow
def test_sigterm_during_training_saves_and_the_run_can_be_resumed():
    flags = ["--mode=train", "--steps=100000", "--output=run", *QUICK]
    process = start(*flags)
    wait_for(lambda: Path("run/metrics.jsonl").exists(), process)
    second = run(*flags[:1], "--resume", "--output=run", "--visdom=off")
    assert second.returncode == 2
    assert second.stderr == "--output: run is in use by another process\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 143
    assert "Traceback" not in errors
    (checkpoint,) = Path("run").glob("checkpoint-*.pt")
    again = run(*flags)
    assert again.returncode == 2
    assert again.stderr.startswith("--output: run holds a run already")

    process = start("--mode=train", "--resume", "--output=run", "--visdom=off")
    step = int(checkpoint.stem.split("-")[1])
    wait_for(lambda: f'"step": {(step // 10 + 1) * 10},' in Path("run/metrics.jsonl").read_text(), process)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=600)
    assert process.returncode == 130
    steps = [json.loads(line)["step"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert steps == [1, *range(10, steps[-1] + 1, 10)]


def shown(port: int, window: str) -> dict | None:
    """Visdom's data of a window in the run's environment; None where there is no server or no such window."""
    try:
        client = visdom.Visdom(port=port, env="srmd_run", use_incoming_socket=False, raise_exceptions=True)
        return json.loads(client.get_window_data(window) or "null")
    except (ConnectionError, requests.exceptions.ConnectionError):
        return None


def points(port: int) -> list[float]:
    content = shown(port, "loss")
    return content["content"]["data"][0]["x"] if content else []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")
def test_training_continues_while_its_visdom_server_hangs_dies_and_restarts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(visdom_server, "START_SECONDS", PATIENCE)
    port = free_port()
    server = visdom_server.start(port, Path("saved"))
    flags = ["--batch_size=1", "--patch_size=12", f"--visdom=http://127.0.0.1:{port}"]
    process = start("--mode=train", "--steps=100000", "--output=run", *flags)
    rows = Path("run/metrics.jsonl")
    try:
        wait_for(lambda: len(points(port)) >= 3, process)
        for window in ("samples", "kernels", "learning rate", "throughput", "validation PSNR of Y [dB]"):
            wait_for(lambda window=window: shown(port, window), process)

        server.send_signal(signal.SIGSTOP)
        before = len(rows.read_text().splitlines())
        wait_for(lambda: len(rows.read_text().splitlines()) > before + 5, process)
        server.send_signal(signal.SIGCONT)
        visdom_server.stop(server)
        before = len(rows.read_text().splitlines())
        wait_for(lambda: len(rows.read_text().splitlines()) > before + 5, process)

        server = visdom_server.start(port, Path("saved"))
        wait_for(lambda: len(points(port)) > before + 5, process)  # all points, also those logged without a server
        logged = [json.loads(row) for row in rows.read_text().splitlines()]
        steps = points(port)
        assert steps == [row["step"] for row in logged][: len(steps)]
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=600)
        visdom_server.stop(server)
    assert process.returncode == 130
    assert "Traceback" not in output + errors
    messages = [line for line in output.splitlines() if line.startswith("dashboard")]
    are_lost = ["the run continues" in message for message in messages]
    assert all(one != other for one, other in itertools.pairwise(are_lost)), messages  # one for each change
    assert are_lost.count(True) >= 1


@pytest.mark.slow
def test_the_shipped_network_is_the_default():
    kernel = str(ROOT / "kernels" / "isotropic_1.3.mat")
    tested = run("--mode=test", f"--kernel={kernel}", "--output=scored")
    assert tested.returncode == 0, tested.stderr
    metrics = json.loads(Path("scored/metrics.json").read_text())
    assert metrics["weights"].endswith("weights/srmdnf_x2.safetensors")
    assert metrics["mean"]["psnr_y"] > metrics["mean"]["bicubic_psnr_y"] + 3


def test_help_names_the_modes():
    done = run("--help")
    assert done.returncode == 0
    assert all(f"--mode={mode}" in done.stdout for mode in ("train", "test", "prepare", "export"))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_ends_the_command_without_a_message(unbuffered: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reading, writing = os.pipe()
    os.close(reading)  # before the command could write
    command = [sys.executable, str(ROOT / "main.py"), "--help"]
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def peak(*arguments: str) -> int:
    """The peak memory of a command, in bytes."""
    read = "next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]"
    program = f"import sys; from srmd.cli import main; assert main.main(sys.argv[1:]) == 0; print({read})"
    command = [sys.executable, "-c", program, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_only_one_tile_of_a_large_picture_is_in_memory_as_floats():
    """A pixel of SR takes 3 bytes, 4 more in Pillow, and those of file and LR; as floats it would take 12 more."""
    network = SRMD(NetworkConfig(features=4, conditions=("kernel",)))
    write_weights(Path("tiny.safetensors"), Weights(network, default_pca()))
    width, height = 1500, 1000
    for name, size in (("small", (64, 64)), ("large", (width, height))):
        Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 50).convert("RGB").save(f"{name}.png")
    flags = ["--mode=test", "--weights=tiny.safetensors", "--kernel=gaussian:1", "--visdom=off", "--engine=torch"]
    flags += ["--precision=fp32", "--tile=128"]
    peaks = [peak(*flags, "--input", f"{name}.png", f"--output={name}") for name in ("small", "large")]
    assert peaks[1] - peaks[0] < 16 * 4 * width * height
    assert open_picture("large/large.png").size == (2 * width, 2 * height)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_test_and_leaves_no_partial_file(number: signal.Signals, code: int):
    network = SRMD(NetworkConfig(features=4, conditions=("kernel",)))
    write_weights(Path("tiny.safetensors"), Weights(network, default_pca()))
    Path("photos").mkdir()
    for name in range(20):
        Image.effect_mandelbrot((32, 32), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(f"photos/{name}.png")
    # fsync is slow, so that the signal arrives while a file is being written. SIGINT and SIGHUP get their default
    # handlers, because unattended test runs may ignore them.
    program = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fsync = os.fsync
os.fsync = lambda descriptor: (time.sleep(1), fsync(descriptor))
from srmd.__main__ import command
command()
"""
    flags = ["--weights=tiny.safetensors", "--kernel=gaussian:1", "--engine=torch", "--precision=fp32", "--visdom=off"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--mode=test", *flags, "--input", "photos", "--output=restored"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_for(lambda: list(Path("restored").glob(".*.png")), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not list(Path("restored").glob(".*"))
    finished = sorted(path.name for path in Path("restored").glob("*.png"))
    rows = json.loads(Path("restored/metrics.json").read_text())["images"] if finished else []
    assert sorted(row["file"] for row in rows) == finished
