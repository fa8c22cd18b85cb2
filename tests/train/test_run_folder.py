"""A run's folder, and which run the flags ask for."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

import pytest

from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.train.run_folder import RunFolder, run_config


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def started(path: str, **given: object) -> RunFolder:
    folder = RunFolder(Path(path))
    with folder.locked():
        folder.begin(TrainConfig(output=folder.path, **given), step=0)
    return folder


def test_a_new_run_is_named_after_its_network():
    config = run_config({"scale_factor": 4, "noise_free": True})
    assert config.output.match("runs/srmdnf_x4_*")
    assert config.resume is None


def test_a_folder_that_holds_a_run_is_not_written_over():
    started("runs/a")
    with pytest.raises(InputError, match=r"output: runs/a holds a run already; `resume` goes on"):
        run_config({"output": Path("runs/a")})


def test_resuming_takes_the_configuration_of_the_run():
    started("runs/a", steps=7, weights=Path("w.safetensors"), lr=2e-4)
    config = run_config({"output": Path("runs/a"), "resume": ""})
    assert (config.steps, config.weights, config.lr) == (7, Path("w.safetensors"), 2e-4)


@pytest.mark.parametrize(
    "given",
    [
        {"steps": 8},
        {"lr": 1e-4},
        {"noise_free": True},
        {"train_data": Path("x")},
        {"train_kernels": Path("x")},
        {"pca_dim": 30},
    ],
)
def test_resuming_with_another_value_is_an_error_that_names_the_flag(given: dict):
    started("runs/a", steps=7)
    with pytest.raises(InputError, match=f"{next(iter(given))}: the run in runs/a was started with"):
        run_config({"output": Path("runs/a"), "resume": ""} | given)


def test_resuming_with_another_number_of_threads_names_the_default():
    started("runs/a", steps=7)
    expected = r"threads: the run in runs/a was started with PyTorch's own number of threads, found 3"
    with pytest.raises(InputError, match=expected):
        run_config({"output": Path("runs/a"), "resume": "", "threads": 3})


def test_resuming_with_the_same_value_is_fine():
    started("runs/a", steps=7)
    assert run_config({"output": Path("runs/a"), "resume": "", "steps": 7}).steps == 7


def test_device_dashboard_and_saving_may_change_on_resuming():
    started("runs/a", steps=7)
    config = run_config({"resume": "runs/a", "device": "cpu", "visdom": "off", "save_every": 3})
    assert (config.device, config.visdom, config.save_every, config.steps) == ("cpu", "off", 3, 7)


def test_resume_alone_takes_the_newest_run():
    for age, name in enumerate(["runs/new", "runs/old"]):
        started(name)
        os.utime(name, (1e9 - age, 1e9 - age))
    assert run_config({"resume": ""}).output == Path("runs/new")


def test_resume_with_nothing_there_starts():
    assert run_config({"resume": "", "steps": 5}).steps == 5
    assert run_config({"resume": "", "output": Path("runs/b")}).output == Path("runs/b")


def test_resuming_a_folder_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match="resume: runs/none: expected a run, found no such folder"):
        run_config({"resume": "runs/none"})


def test_resume_and_output_must_agree():
    started("runs/a")
    with pytest.raises(InputError, match="resume: expected runs/b"):
        run_config({"resume": "runs/a", "output": Path("runs/b")})


def test_a_folder_that_is_no_run_is_not_resumed():
    Path("holiday").mkdir()
    with pytest.raises(InputError, match="resume: holiday: expected a run"):
        run_config({"resume": "holiday"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": 3}', "{", '"text"'])
def test_a_configuration_that_is_none_is_an_error(text: str):
    started("runs/a")
    Path("runs/a/config.json").write_text(text)
    with pytest.raises(InputError, match="expected a run's configuration"):
        run_config({"resume": "runs/a"})


def test_rows_behind_the_checkpoint_are_dropped_and_a_cut_line_too():
    folder = started("runs/a")
    for step in (1, 10, 20):
        folder.append({"step": step, "loss": 0.5})
    with folder.metrics.open("a") as file:
        file.write('\x00\x00\n[1]\n{"step": 30, "lo')
    folder.begin(TrainConfig(resume="runs/a"), step=10)
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [1, 10]


def test_checkpoints_without_their_configuration_are_neither_written_over_nor_guessed_at():
    folder = started("runs/a")
    folder.checkpoint(3).write_text("")
    Path("runs/a/config.json").unlink()
    for given in ({"output": Path("runs/a")}, {"resume": "runs/a"}):
        with pytest.raises(InputError, match=r"expected a run, found .*without .*config\.json"):
            run_config(given)


def test_a_number_that_json_does_not_know_is_null():
    folder = started("runs/a")
    folder.append({"step": 1, "psnr_y": float("inf")})
    assert folder.metrics.read_text() == '{"step": 1, "psnr_y": null}\n'


def test_a_process_that_waited_for_the_lock_does_not_write_over_the_run_of_the_other():
    folder = started("runs/a", steps=7)
    with pytest.raises(InputError, match="holds a run already"):
        folder.begin(TrainConfig(output=folder.path), step=0)
    assert run_config({"resume": "runs/a"}).steps == 7


def test_the_command_of_a_run_is_that_of_its_start():
    started("runs/a", command="main.py --mode=train")
    assert run_config({"resume": "runs/a", "command": "main.py --resume"}).command == "main.py --mode=train"


def test_the_last_three_checkpoints_are_kept():
    folder = started("runs/a")
    for step in (5, 10, 10_000_000, 9_999_000):
        folder.checkpoint(step).write_text("")
    (folder.path / "checkpoint-best.pt").write_text("somebody's own")
    folder.drop_old_checkpoints()
    assert folder.checkpoints() == [folder.checkpoint(step) for step in (10_000_000, 9_999_000, 10)]
    assert (folder.path / "checkpoint-best.pt").exists()


@contextmanager
def process_in(folder: str, then: str = "") -> Iterator[None]:
    """A process that holds the lock of a run, until it is killed as `kill -9` does."""
    hold = "import os, sys, time; from pathlib import Path; from srmd.train.run_folder import RunFolder\n"
    hold += f"with RunFolder(Path({folder!r})).locked():\n"
    hold += indent(f"{then}\nprint('held', flush=True); time.sleep(60)", " ")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.kill()
        process.wait()


def test_a_second_process_is_refused_until_the_first_has_died():
    refused = pytest.raises(InputError, match="output: runs/a is in use by another process")
    with process_in("runs/a"), refused, RunFolder(Path("runs/a")).locked():
        pass
    with RunFolder(Path("runs/a")).locked():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")
def test_a_forked_child_does_not_keep_the_lock_of_a_process_that_was_killed():
    fork = """
if (child := os.fork()) == 0:
    time.sleep(60)
    os._exit(0)
Path("child").write_text(str(child))
"""
    with process_in("runs/a", fork):
        pass
    child = int(Path("child").read_text())
    os.kill(child, 0)  # it is there still
    with RunFolder(Path("runs/a")).locked():
        pass
    os.kill(child, signal.SIGKILL)


def test_a_run_that_never_began_leaves_no_folder_behind_and_no_file_in_one_that_was_there():
    Path("there").mkdir()
    for name in ("there", "runs/new"):
        with RunFolder(Path(name)).locked():
            assert Path(name).is_dir()
    assert not list(Path("there").iterdir())
    assert not list(Path("runs").iterdir())


def test_where_files_cannot_be_locked_nothing_is_trained(monkeypatch: pytest.MonkeyPatch):
    """As on some network drives: a lock that is but a file would stay behind when its process is killed."""
    fcntl = pytest.importorskip("fcntl")

    def cannot(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", cannot)
    with pytest.raises(InputError, match="output: runs/a: can't be locked"), RunFolder(Path("runs/a")).locked():
        pass


@pytest.mark.parametrize(("name", "value"), [("steps", "7"), ("lr", None), ("noise_free", 1)])
def test_a_value_of_another_kind_in_a_configuration_is_named(name: str, value: object):
    folder = started("runs/a")
    path = folder.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(InputError, match=f"expected a valid {name}"):
        run_config({"resume": "runs/a"})
