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

import pytest

from picture_files import open_picture
from small_restoring import files, metrics, picture, write_network
from small_runs import QUICK_FLAGS, have_same_weights, logged_losses, read_rows
from srmd.weights.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder_with_pictures")]
ROOT = Path(__file__).parents[1]
TRAIN = ["--mode=train", *QUICK_FLAGS, "--batch_size=4", "--steps=21", "--save_every=7"]
RESTORE = ["--mode=test", "--weights=tiny.safetensors", "--engine=torch", "--precision=fp32", "--device=cpu"]
RESTORE += ["--visdom=off", "--output=out", "--kernel=gaussian:1", "--noise_level=0"]
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
LAUNCHER += ["--shutdown_timeout=120"]
SECONDS = 600


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    """One thread; and no compiler, so that no benchmark chooses between convolutions that round differently."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CC", "no-compiler")


def start(*flags: str, launcher_flags: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [*LAUNCHER, *launcher_flags, str(ROOT / "main.py"), *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def run(*flags: str, **options: object) -> tuple[int, str, str]:
    return finish(start(*flags, **options))


def run_alone(*flags: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "main.py"), *flags], check=True, capture_output=True, timeout=SECONDS)


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers(launcher: subprocess.Popen) -> dict[int, int]:
    """The process numbers of the command's processes by their rank."""
    found = {}
    for task in Path(f"/proc/{launcher.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            ranks = [int(entry[5:]) for entry in environment if entry.startswith(b"RANK=")]
            found |= {rank: int(child) for rank in ranks}
    return found


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
    run_alone(*TRAIN, "--output=alone")
    alone, several = (dict(logged_losses(output)) for output in ("alone", "uninterrupted"))
    assert several[1] == pytest.approx(alone[1], rel=1e-5)
    assert several[10] == pytest.approx(alone[10], rel=0.02)  # rounding errors grow from step to step
    assert read_rows("uninterrupted")[-1]["psnr_y"] == pytest.approx(read_rows("alone")[-1]["psnr_y"], abs=0.5)
    checkpoint = load_checkpoint(Path("uninterrupted/checkpoint-0000021.pt"))
    assert (checkpoint.step, checkpoint.processes) == (21, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_torchrun_saves_once_and_the_run_is_resumed_to_the_bit(uninterrupted: Path, number: int):
    make_uninterrupted(uninterrupted)
    process = start(*TRAIN, "--output=run")
    wait_for(Path("run/metrics.jsonl").exists, process)
    process.send_signal(number)
    code, output, errors = finish(process)
    assert code != 0
    assert output.count("Stopped and saved at step") == 1, errors
    (checkpoint,) = Path("run").glob("checkpoint-*")
    assert load_checkpoint(checkpoint).step < 21
    assert run("--mode=train", "--output=run", "--resume", "--visdom=off")[0] == 0
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_torchrun_restarts_from_the_checkpoint(uninterrupted: Path, rank: int):
    make_uninterrupted(uninterrupted)
    process = start(*TRAIN, "--output=run", "--resume", launcher_flags=("--max_restarts=1",))
    wait_for(Path("run/checkpoint-0000007.pt").exists, process)
    os.kill(workers(process)[rank], signal.SIGKILL)
    code, output, errors = finish(process)
    assert code == 0, errors
    assert output.count("Training in run") == 2
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")


def test_a_run_is_not_resumed_by_another_number_of_processes(uninterrupted: Path):
    make_uninterrupted(uninterrupted)
    Path("uninterrupted/checkpoint-0000021.pt").unlink()
    flags = ["--mode=train", "--output=uninterrupted", "--resume", "--visdom=off"]
    command = [sys.executable, str(ROOT / "main.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 2
    expected = "--resume: expected 2 processes (torchrun), by which the run in uninterrupted was started, found 1; "
    assert done.stderr.splitlines()[-1].startswith(expected)
    code, _, errors = run(*flags, launcher_flags=("--nproc_per_node=3",))
    assert code != 0
    (line,) = lines_of_workers(errors)
    assert line.startswith(expected.replace("found 1", "found 3"))


@pytest.mark.parametrize(
    ("flags", "launcher_flags", "expected"),
    [
        (["--batch_norm"], (), "--batch_norm: expected a network without it, found 2 processes"),
        (["--batch_size=1"], (), "--batch_size: expected at least 2, one patch for each process, found 1"),
        (["--step=3"], (), "--step: unknown flag"),
        (["--patch_size=80"], (), "--train_data: pictures: expected a picture of 184×184 pixels or more"),
        ([], ("--max_restarts=1",), "--resume: expected --output=FOLDER --resume, with which a restart"),
    ],
)
def test_an_invalid_request_is_reported_once(flags: list[str], launcher_flags: tuple[str, ...], expected: str):
    code, _, errors = run(*TRAIN, "--output=run", *flags, launcher_flags=launcher_flags)
    assert code != 0
    lines = set(lines_of_workers(errors)) if launcher_flags else lines_of_workers(errors)  # after a restart once more
    (line,) = lines
    assert line.startswith(expected)
    assert not Path("run/config.json").exists()


def test_a_folder_is_restored_in_shares():
    write_network("tiny.safetensors")
    for number in range(5):
        picture(f"lr/{number}.png", seed=number)
    Path("lr/broken.png").write_text("no picture")
    code, output, _ = run(*RESTORE, "--input=lr")
    assert code != 0
    assert "restored 5 of 6" in output
    several = metrics()
    assert several["summary"] == {"restored": 5, "skipped": 0, "left_out": 1}
    assert files() == [*(f"{number}.png" for number in range(5)), "metrics.json"]
    Path("out").rename("several")
    Path("lr/broken.png").unlink()
    run_alone(*RESTORE, "--input=lr")
    assert [row["file"] for row in several["images"]] == [row["file"] for row in metrics()["images"]]
    for number in range(5):
        pixels = [open_picture(f"{folder}/{number}.png").tobytes() for folder in ("several", "out")]
        assert pixels[0] == pixels[1]


def test_pictures_are_scored_in_shares_with_the_numbers_of_one_process():
    write_network("tiny.safetensors")
    flags = [*RESTORE, "--test_data=pictures"]
    code, output, errors = run(*flags)
    assert code == 0, errors
    assert output.count("bicubic PSNR / SSIM") == 1
    several = metrics()
    run_alone(*flags)
    alone = metrics()
    for result in (several, alone):
        for row in (*result["images"], result["mean"]):
            del row["seconds"]
    assert several == alone


def number_of_results() -> int:
    """The number of finished pictures; glob's `*.png` also finds the temporary file of a process that was killed."""
    return len(list(Path("out").glob("[0-9]*.png")))


def test_what_a_killed_process_has_restored_is_known_to_the_next_run():
    write_network("tiny.safetensors")
    for number in range(40):
        picture(f"lr/{number}.png", size=(160, 160), seed=number)
    process = start(*RESTORE, "--input=lr")
    wait_for(lambda: number_of_results() >= 4, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    assert finish(process)[0] != 0
    before = number_of_results()
    assert 4 <= before < 40
    code, output, errors = run(*RESTORE, "--input=lr")
    assert code == 0, errors
    assert f"skipped {before}" in output
    assert len(metrics()["images"]) == 40
    assert not list(Path("out").glob(".srmd-*"))


def namespaces_are_allowed() -> bool:
    done = subprocess.run(["unshare", "-rn", "ip", "link", "add", "a", "type", "veth"], capture_output=True)
    return done.returncode == 0


TWO_MACHINES = """
ip link set lo up
unshare -n sleep {seconds} & other=$!
sleep 1
ip link add first type veth peer name second netns $other
ip addr add 10.0.0.1/24 dev first; ip link set first up
nsenter -t $other -n sh -c 'ip link set lo up; ip addr add 10.0.0.2/24 dev second; ip link set second up'
GLOO_SOCKET_IFNAME=second nsenter -t $other -n {launcher} --node_rank=1 {command} > second.log 2>&1 & worker=$!
GLOO_SOCKET_IFNAME=first {launcher} --node_rank=0 {command} > first.log 2>&1; code=$?
wait $worker || code=1
kill $other
exit $code
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("unshare"), reason="no network namespaces")
def test_two_network_namespaces_train_as_two_machines(uninterrupted: Path):
    if not namespaces_are_allowed():
        pytest.skip("this system allows no network namespaces")
    make_uninterrupted(uninterrupted)
    launcher = f"{sys.executable} -m torch.distributed.run --nnodes=2 --nproc_per_node=1 --master_addr=10.0.0.1"
    command = " ".join([f"--master_port=29400 {ROOT / 'main.py'}", *TRAIN, "--output=run"])
    script = TWO_MACHINES.format(seconds=SECONDS, launcher=launcher, command=command)
    done = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, Path("first.log").read_text() + Path("second.log").read_text()
    assert "by 2 processes" in Path("first.log").read_text()
    assert "Training in" not in Path("second.log").read_text()
    assert logged_losses("run") == logged_losses("uninterrupted")
    assert have_same_weights("run", "uninterrupted")
