"""Commands that torchrun starts as two processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from picture_files import open_picture
from small_restoring import metrics, picture, write_network
from small_runs import QUICK_FLAGS, have_same_weights, logged_losses, read_rows
from small_solvers import photos, small_solver
from srmd.cli.main import main
from srmd.weights.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder_with_pictures")]
ROOT = Path(__file__).parents[1]
TRAIN = ["--mode=train", *QUICK_FLAGS, "--batch_size=4", "--steps=21", "--save_every=11"]
RESTORE = ["--mode=test", "--weights=tiny.safetensors", "--engine=torch", "--precision=fp32", "--device=cpu"]
RESTORE += ["--visdom=off", "--output=out", "--kernel=gaussian:1", "--noise_level=0"]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
LAUNCHER += ["--shutdown_timeout=120"]
MAX_SECONDS = 1800  # for what takes half a minute on an idle machine


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    """One thread; and no compiler, so that no benchmark chooses between convolutions that round differently."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CC", "no-compiler")


def launch(*command: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*LAUNCHER, *command], **pipes)


def start(*flags: str, launcher_flags: tuple[str, ...] = ()) -> subprocess.Popen:
    return launch(*launcher_flags, str(ROOT / "tests" / "held_command.py"), *flags)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=MAX_SECONDS)
    return process.returncode, output, errors


def run(*flags: str, **options: object) -> tuple[int, str, str]:
    return finish(start(*flags, **options))


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + MAX_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_held(process: subprocess.Popen) -> int:
    """Waits until one of the command's processes waits at its point (held_command.py); the number of that process."""
    wait_for(Path("held").exists, process)
    number = int(Path("held").read_text())
    Path("held").unlink()
    return number


def lines_of_workers(errors: str) -> list[str]:
    """The lines of standard error that are errors of the command, and not of torchrun."""
    return [line for line in errors.splitlines() if re.match(r"--[a-z]|process |another process", line)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory):
    """A place for a run of two processes that is made once, by the first test that needs it."""
    return tmp_path_factory.mktemp("runs") / "run"


def make_uninterrupted(place: Path) -> None:
    if not place.exists():
        code, _, errors = run(*TRAIN, "--output=run")
        assert code == 0, errors
        shutil.copytree("run", place)
        shutil.rmtree("run")
    shutil.copytree(place, "uninterrupted")


def test_two_processes_train_on_the_batches_of_one(uninterrupted: Path):
    make_uninterrupted(uninterrupted)
    assert main([*TRAIN, "--output=alone"]) == 0
    alone, several = (dict(logged_losses(output)) for output in ("alone", "uninterrupted"))
    assert several[1] == pytest.approx(alone[1], rel=1e-5)
    assert several[10] == pytest.approx(alone[10], rel=0.02)  # rounding errors grow from step to step
    assert read_rows("uninterrupted")[-1]["psnr_y"] == pytest.approx(read_rows("alone")[-1]["psnr_y"], abs=0.5)
    checkpoint = load_checkpoint(Path("uninterrupted/checkpoint-0000021.pt"))
    assert (checkpoint.step, checkpoint.processes) == (21, 2)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's list of threads")
def test_no_thread_of_the_process_group_is_left_when_python_exits():
    """Such a thread aborts a process that has done its work, now and then."""
    code, _, errors = run(*TRAIN, "--output=run")
    assert code == 0, errors
    for rank in range(2):
        assert "gloo" not in Path(f"threads-{rank}").read_text()


def test_the_first_gradients_of_two_processes_are_those_of_one(tmp_path: Path):
    alone = small_solver(photos(tmp_path))
    loss = alone.training_step()
    code, _, errors = finish(launch(str(ROOT / "tests" / "shared_step.py"), "photos.h5"))
    assert code == 0, errors
    first, second = (torch.load(f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    assert first["loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    for parameter, gradient in zip(alone.network.parameters(), first["gradients"], strict=True):
        assert (gradient - parameter.grad).norm() < 1e-5 * parameter.grad.norm()
    for name in ("gradients", "parameters"):  # the optimizer has updated them from the sum
        assert all(map(torch.equal, first[name], second[name])), name
    for found in (first, second):
        assert (found["of_first"], found["gathered"]) == (0, [0, 1])
        assert (found["any"], found["none"]) == (True, False)
        assert found["error"] == "train_data: expected pictures, found none"


@pytest.mark.parametrize(("number", "rank"), [(signal.SIGINT, 0), (signal.SIGTERM, 1)])
def test_a_run_equals_an_uninterrupted_one_after_a_signal_to_torchrun_and_a_killed_process(
    uninterrupted: Path, number: int, rank: int, monkeypatch: pytest.MonkeyPatch
):
    make_uninterrupted(uninterrupted)
    monkeypatch.setenv("HOLD", f"{rank}:4")
    process = start(*TRAIN, "--output=run")
    wait_for_held(process)
    process.send_signal(number)
    code, output, errors = finish(process)
    assert code != 0
    assert output.count("Stopped and saved at step") == 1, errors
    saved = set(Path("run").glob("checkpoint-*"))
    assert load_checkpoint(max(saved)).step < 11

    flags = ["--mode=train", "--output=run", "--resume", "--visdom=off"]
    monkeypatch.setenv("HOLD", f"{rank}:15")
    process = start(*flags, launcher_flags=("--max_restarts=1",))
    held = wait_for_held(process)
    assert set(Path("run").glob("checkpoint-*")) > saved
    os.kill(held, signal.SIGKILL)
    Path("go").touch()  # after the restart nothing waits
    code, output, errors = finish(process)
    assert code == 0, errors
    assert output.count("Training in run") == 2  # before the kill, and after torchrun's restart
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")


def test_a_run_is_not_resumed_by_another_number_of_processes(uninterrupted: Path, capsys: pytest.CaptureFixture):
    make_uninterrupted(uninterrupted)
    Path("uninterrupted/checkpoint-0000021.pt").unlink()
    flags = ["--mode=train", "--output=uninterrupted", "--resume", "--visdom=off"]
    expected = "--resume: expected 2 processes (torchrun), by which the run in uninterrupted was started, found 1; "
    assert main(flags) == 2
    assert capsys.readouterr().err.startswith(expected)
    code, _, errors = run(*flags, launcher_flags=("--nproc_per_node=3",))
    assert code != 0
    (line,) = lines_of_workers(errors)
    assert line.startswith(expected.replace("found 1", "found 3"))


@pytest.mark.parametrize(
    ("flags", "launcher_flags", "expected"),
    [
        (["--step=3"], (), "--step: unknown flag"),
        (["--patch_size=80"], (), "--train_data: pictures: expected a picture of 184×184 pixels or more"),
        (["--batch_norm", "--resume"], ("--max_restarts=1",), "--batch_norm: expected a network without it, found 2"),
    ],
)
def test_an_invalid_request_is_reported_once(flags: list[str], launcher_flags: tuple[str, ...], expected: str):
    code, _, errors = run(*TRAIN, "--output=run", *flags, launcher_flags=launcher_flags)
    assert code != 0
    lines = set(lines_of_workers(errors)) if launcher_flags else lines_of_workers(errors)  # after a restart once more
    (line,) = lines
    assert line.startswith(expected)
    assert not Path("run/config.json").exists()


def test_pictures_are_scored_in_shares_with_the_numbers_of_one_process():
    write_network("tiny.safetensors")
    flags = [*RESTORE, "--test_data=pictures"]
    code, output, errors = run(*flags)
    assert code == 0, errors
    assert output.count("bicubic PSNR / SSIM") == 1
    several = metrics()
    assert main(flags) == 0
    alone = metrics()
    for result in (several, alone):
        for row in (*result["images"], result["mean"]):
            del row["seconds"]
    assert several == alone


def number_of_results() -> int:
    """The number of finished pictures; glob's `*.png` also finds the temporary file of a process that was killed."""
    return len(list(Path("out").glob("[0-9]*.png")))


def test_a_folder_is_restored_in_shares_and_completed_after_a_process_was_killed(monkeypatch: pytest.MonkeyPatch):
    write_network("tiny.safetensors")
    for number in range(40):
        picture(f"lr/{number}.png", size=(160, 160), seed=number)
    Path("lr/broken.png").write_text("no picture")
    monkeypatch.setenv("HOLD", "1:5")
    process = start(*RESTORE, "--input=lr")
    held = wait_for_held(process)
    wait_for(lambda: number_of_results() >= 4, process)
    os.kill(held, signal.SIGKILL)
    assert finish(process)[0] != 0
    Path("go").touch()
    before = number_of_results()
    assert 4 <= before < 40
    code, output, _ = run(*RESTORE, "--input=lr")
    assert code != 0
    assert f"restored {40 - before} of 41" in output
    several = metrics()
    assert several["summary"] == {"restored": 40 - before, "skipped": before, "left_out": 1}
    assert not list(Path("out").glob(".srmd-*"))

    Path("out").rename("several")
    Path("lr/broken.png").unlink()
    assert main([*RESTORE, "--input=lr"]) == 0
    assert [row["file"] for row in several["images"]] == [row["file"] for row in metrics()["images"]]
    for number in range(40):
        several, alone = (np.asarray(open_picture(f"{folder}/{number}.png"), int) for folder in ("several", "out"))
        # With another number of threads, another algorithm may be the fastest one. Its rounding errors differ, so that
        # values between two levels may be rounded to the other one.
        assert np.abs(several - alone).max() <= 1
        assert (several != alone).mean() < 0.01


def namespaces_are_allowed() -> bool:
    done = subprocess.run(["unshare", "-rn", "ip", "link", "add", "probe", "type", "veth"], capture_output=True)
    return done.returncode == 0


START_TWO_MACHINES = """
ip link set lo up
unshare -n sleep {seconds} > sleep.log 2>&1 & other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep .1; done
ip link add first type veth peer name second netns $other
ip addr add 10.0.0.1/24 dev first; ip link set first up
nsenter -t $other -n sh -c 'ip link set lo up; ip addr add 10.0.0.2/24 dev second; ip link set second up'
GLOO_SOCKET_IFNAME=second nsenter -t $other -n {launcher} --node_rank=1 {command} > second.log 2>&1 & second=$!
GLOO_SOCKET_IFNAME=first {launcher} --node_rank=0 {command} > first.log 2>&1 & first=$!
trap 'kill $other $second 2> end.log' EXIT
"""
WAIT_FOR_BOTH = """
wait $first; code=$?
wait $second || code=1
kill $other
exit $code
"""
LOSE_THE_SECOND = """
while ! ls run/checkpoint-*.pt; do kill -0 $first || exit; sleep .1; done
nsenter -t $other -n ip link set second down
echo 5 > /proc/sys/net/ipv4/tcp_retries2  # the system gives up a connection after some 15 seconds, not minutes
wait $first; code=$?
kill $second $other
wait $second
exit $code
"""


def train_on_two_machines(script: str, *flags: str) -> subprocess.CompletedProcess:
    if not namespaces_are_allowed():
        pytest.skip("this system allows no network namespaces")
    launcher = f"{sys.executable} -m torch.distributed.run --nnodes=2 --nproc_per_node=1 --master_addr=10.0.0.1"
    command = " ".join([f"--master_port=29400 {ROOT / 'tests' / 'held_command.py'}", *TRAIN, *flags, "--output=run"])
    start_both = START_TWO_MACHINES.format(seconds=MAX_SECONDS, launcher=launcher, command=command)
    shell = ["unshare", "-rn", "sh", "-c", start_both + script]
    return subprocess.run(shell, capture_output=True, text=True, timeout=MAX_SECONDS)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("unshare"), reason="no network namespaces")
def test_two_network_namespaces_train_as_two_machines(uninterrupted: Path):
    make_uninterrupted(uninterrupted)
    done = train_on_two_machines(WAIT_FOR_BOTH)
    assert done.returncode == 0, Path("first.log").read_text() + Path("second.log").read_text()
    assert "by 2 processes" in Path("first.log").read_text()
    assert "Training in" not in Path("second.log").read_text()
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("unshare"), reason="no network namespaces")
def test_a_machine_that_loses_its_network_ends_the_run_which_keeps_its_checkpoint():
    done = train_on_two_machines(LOSE_THE_SECOND, "--steps=100000")
    log = Path("first.log").read_text()
    assert done.returncode == 1, log
    assert len(lines_of_workers(log)) == 1, log
    assert load_checkpoint(max(Path("run").glob("checkpoint-*.pt"))).step % 11 == 0
