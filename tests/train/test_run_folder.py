"""The folder of a run, and which run the flags ask for."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from textwrap import indent

import pytest

from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.train.run_folder import RunFolder, run_config


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def start_run(path: str, **options: object) -> RunFolder:
    """The folder of a run that has begun."""
    folder = RunFolder(Path(path))
    with folder.locked():
        folder.begin(TrainConfig(output=folder.path, **options), step=0)
    return folder


def test_a_new_run_is_named_after_its_network():
    config = run_config({"scale_factor": 4, "conditions": ("kernel",)})
    assert config.output.match("runs/srmdnf_x4_*")
    assert run_config({"conditions": ("kernel", "noise", "jpeg")}).output.match("runs/srmdj_x2_*")
    assert config.resume is None


def test_a_new_run_is_refused_in_the_folder_of_another():
    start_run("runs/a")
    with pytest.raises(InputError, match=r"output: runs/a holds a run already; `resume` continues it"):
        run_config({"output": Path("runs/a")})


def test_a_resumed_run_keeps_its_configuration():
    start_run("runs/a", steps=7, weights=Path("w.safetensors"), lr=2e-4)
    config = run_config({"output": Path("runs/a"), "resume": ""})
    assert (config.steps, config.weights, config.lr) == (7, Path("w.safetensors"), 2e-4)


CHANGEABLE = {"cache", "device", "visdom", "save_every", "debug"}
NOT_SETTINGS = {"output", "resume", "command"}  # they say which run is resumed, and how


def other_value(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return 3 if value is None else f"{value}-other"


@pytest.mark.parametrize(
    "field", [field for field in fields(TrainConfig) if field.name not in NOT_SETTINGS], ids=lambda field: field.name
)
def test_only_settings_of_machine_display_and_saving_can_be_changed_on_resuming(field: Field):
    start_run("runs/a")
    changed = other_value(field.default)
    arguments = {"resume": "runs/a", field.name: changed}
    if field.name in CHANGEABLE:
        assert getattr(run_config(arguments), field.name) == changed
    else:
        with pytest.raises(InputError, match=f"^{field.name}: the run in runs/a was started with"):
            run_config(arguments)


def test_resuming_with_another_number_of_threads_names_the_default():
    start_run("runs/a", steps=7)
    expected = r"threads: the run in runs/a was started with PyTorch's own number of threads, found 3"
    with pytest.raises(InputError, match=expected):
        run_config({"output": Path("runs/a"), "resume": "", "threads": 3})


def test_of_several_changed_settings_the_first_one_is_named():
    start_run("runs/a")
    changed = {"steps": 9, "lr": 0.5, "loss": "l2", "patch_size": 9, "batch_size": 3}
    for names in (list(changed), list(reversed(changed))):
        with pytest.raises(InputError, match=f"^{names[0]}: the run in runs/a was started with"):
            run_config({"resume": "runs/a"} | {name: changed[name] for name in names})


def test_resuming_with_the_same_value_is_allowed():
    start_run("runs/a", steps=7)
    assert run_config({"output": Path("runs/a"), "resume": "", "steps": 7}).steps == 7


def test_resume_alone_takes_the_newest_run():
    for age, name in enumerate(["runs/new", "runs/old"]):
        start_run(name)
        os.utime(name, (1e9 - age, 1e9 - age))
    assert run_config({"resume": ""}).output == Path("runs/new")


def test_resume_without_a_run_starts_a_new_one():
    assert run_config({"resume": "", "steps": 5}).steps == 5
    assert run_config({"resume": "", "output": Path("runs/b")}).output == Path("runs/b")


def test_resuming_a_missing_folder_is_an_error():
    with pytest.raises(InputError, match="resume: runs/none: expected the folder of a run, found no such folder"):
        run_config({"resume": "runs/none"})


def test_resume_and_output_must_agree():
    start_run("runs/a")
    with pytest.raises(InputError, match="resume: expected runs/b"):
        run_config({"resume": "runs/a", "output": Path("runs/b")})


def test_resuming_a_folder_without_a_run_is_an_error():
    Path("holiday").mkdir()
    with pytest.raises(InputError, match="resume: holiday: expected the folder of a run"):
        run_config({"resume": "holiday"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": 3}', "{", '"text"'])
def test_a_broken_configuration_is_an_error(text: str):
    start_run("runs/a")
    Path("runs/a/config.json").write_text(text)
    with pytest.raises(InputError, match="expected a run's configuration"):
        run_config({"resume": "runs/a"})


def test_rows_after_the_checkpoint_and_broken_lines_are_dropped():
    folder = start_run("runs/a")
    for step in (1, 10, 20):
        folder.append({"step": step, "loss": 0.5, "lr": 1e-4, "images_per_s": 1.0})
    with folder.metrics.open("a") as file:
        file.write('\x00\x00\n[1]\n{"step": 30, "lo')
    folder.begin(TrainConfig(resume="runs/a"), step=10)
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [1, 10]


def test_checkpoints_without_their_configuration_are_an_error():
    folder = start_run("runs/a")
    folder.checkpoint(3).write_text("")
    Path("runs/a/config.json").unlink()
    for arguments in ({"output": Path("runs/a")}, {"resume": "runs/a"}):
        with pytest.raises(InputError, match=r"expected .*a run, found .*without .*config\.json"):
            run_config(arguments)


def test_infinity_is_logged_as_null():
    folder = start_run("runs/a")
    folder.append({"step": 1, "psnr_y": float("inf")})
    assert folder.metrics.read_text() == '{"step": 1, "psnr_y": null}\n'


def test_a_run_that_another_process_began_meanwhile_is_not_overwritten():
    folder = start_run("runs/a", steps=7)
    with pytest.raises(InputError, match="holds a run already"):
        folder.begin(TrainConfig(output=folder.path), step=0)
    assert run_config({"resume": "runs/a"}).steps == 7


def test_a_resumed_run_keeps_the_command_that_started_it():
    start_run("runs/a", command="main.py --mode=train")
    assert run_config({"resume": "runs/a", "command": "main.py --resume"}).command == "main.py --mode=train"


def test_the_last_three_checkpoints_are_kept():
    folder = start_run("runs/a")
    for step in (5, 10, 10_000_000, 9_999_000):
        folder.checkpoint(step).write_text("")
    (folder.path / "checkpoint-best.pt").write_text("a file of the user")
    folder.drop_old_checkpoints()
    assert folder.checkpoints() == [folder.checkpoint(step) for step in (10_000_000, 9_999_000, 10)]
    assert (folder.path / "checkpoint-best.pt").exists()


@contextmanager
def process_in(folder: str, then: str = "") -> Iterator[None]:
    """A process that holds the lock of a run, until it is killed as `kill -9` does."""
    hold = "import os, sys, time; from pathlib import Path; from srmd.train.run_folder import RunFolder\n"
    hold += f"with RunFolder(Path({folder!r})).locked():\n"
    hold += indent(f"{then}\nprint('held', flush=True); time.sleep(600)", " ")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout.readline() == b"held\n"
            yield
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed():
    refused = pytest.raises(InputError, match="output: runs/a is in use by another process")
    with process_in("runs/a"), refused, RunFolder(Path("runs/a")).locked():
        pass
    with RunFolder(Path("runs/a")).locked():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")
def test_a_forked_child_does_not_keep_the_lock_of_a_process_that_was_killed():
    fork = """
if os.fork() == 0:
    Path("new").write_text(str(os.getpid()))
    os.rename("new", "child")
    time.sleep(600)
    os._exit(0)
while not Path("child").exists():  # filelock closes the lock's file in the child, before `fork` returns there
    time.sleep(0.01)
"""
    with process_in("runs/a", fork):
        pass
    child = int(Path("child").read_text())
    os.kill(child, 0)  # raises if the child has ended
    with RunFolder(Path("runs/a")).locked():
        pass
    os.kill(child, signal.SIGKILL)


def test_a_run_that_never_began_leaves_neither_a_folder_nor_a_file():
    Path("existing").mkdir()
    for name in ("existing", "runs/new"):
        with RunFolder(Path(name)).locked():
            assert Path(name).is_dir()
    assert not list(Path("existing").iterdir())
    assert not list(Path("runs").iterdir())


def test_a_run_is_refused_on_a_file_system_without_locks(monkeypatch: pytest.MonkeyPatch):
    """Some network drives have none. filelock's substitute, a plain file, would remain after a killed process."""
    fcntl = pytest.importorskip("fcntl")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(InputError, match="output: runs/a: can't be locked"), RunFolder(Path("runs/a")).locked():
        pass


def change_config(folder: RunFolder, change: dict, removed: str = "") -> None:
    path = folder.path / "config.json"
    values = json.loads(path.read_text()) | change
    values.pop(removed, None)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("conditions", [["kernel", "noise", "jpeg"], ["kernel"]])
def test_the_conditions_of_a_run_are_read_again(conditions: list[str]):
    change_config(start_run("runs/a"), {"conditions": conditions})
    assert run_config({"resume": "runs/a"}).conditions == tuple(conditions)


@pytest.mark.parametrize(("noise_free", "conditions"), [(True, ("kernel",)), (False, ("kernel", "noise"))])
def test_a_configuration_with_noise_free_in_place_of_conditions_is_read(noise_free: bool, conditions: tuple[str, ...]):
    change_config(start_run("runs/a"), {"noise_free": noise_free}, removed="conditions")
    assert run_config({"resume": "runs/a"}).conditions == conditions


@pytest.mark.parametrize("conditions", [1, "kernel", ["noise"], ["kernel", "kernel"], ["kernel", "rain"], [["kernel"]]])
def test_invalid_conditions_in_a_configuration_are_an_error(conditions: object):
    change_config(start_run("runs/a"), {"conditions": conditions})
    with pytest.raises(InputError, match="expected valid conditions"):
        run_config({"resume": "runs/a"})


def test_a_resumed_run_keeps_its_conditions():
    change_config(start_run("runs/a"), {"conditions": ["kernel", "noise", "jpeg"]})
    with pytest.raises(InputError, match=r"conditions: .* started with kernel,noise,jpeg, found kernel"):
        run_config({"resume": "runs/a", "conditions": ("kernel",)})


@pytest.mark.parametrize(("name", "value"), [("steps", "7"), ("lr", None)])
def test_a_value_of_the_wrong_type_in_a_configuration_is_an_error_that_names_it(name: str, value: object):
    folder = start_run("runs/a")
    path = folder.path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(InputError, match=f"expected a valid {name}"):
        run_config({"resume": "runs/a"})
