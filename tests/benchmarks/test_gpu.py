"""Networks that are trained side by side: the schedule, rounds of steps, files, and what comes of a run."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks import plans, ship
from benchmarks.gpu import clock, settings
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.clock import Clock, learning_rate
from benchmarks.gpu.collect import collect
from benchmarks.gpu.group import TrainingGroup
from benchmarks.gpu.state import Progress, load_states, save_states, state_path
from benchmarks.gpu.timing import BATCH, FORWARD_BACKWARD, OPTIMIZER, table
from benchmarks.plans import ROOT
from default_pca import default_pca
from small_runs import read_rows
from small_solvers import photos, small_solver
from srmd.model import SRMD, NetworkConfig
from srmd.packs.reader import PackedPictures
from srmd.solver import Solver
from srmd.weights.files import Weights, read_weights, write_weights

MIB = 2**20
NETWORKS = ("srmdnf_x2", "srmd_x4")
SMALL = ["--train_data=pictures", "--batch_size=1", "--patch_size=8", "--lr=1e-4", "--networks", *NETWORKS]


# --- the learning rate


def test_the_learning_rate_rises_and_then_falls_to_zero_at_the_end_of_the_time():
    assert learning_rate(1e-3, 0) == 0
    rates = [learning_rate(1e-3, share) for share in (0.005, 0.01, 0.3, 0.5, 0.9, 1)]
    assert max(rates) == rates[1] == pytest.approx(1e-3, rel=1e-3)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[3] == pytest.approx(5e-4)
    assert rates[-1] == 0


# --- rounds of steps


def two_solvers(pictures: PackedPictures, device: str = "cpu") -> dict[str, Solver]:
    return {
        "nf": small_solver(pictures, conditions=("kernel",), seed=1, device=device),
        "srmd": small_solver(pictures, seed=2, device=device),
    }


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_networks_side_by_side_are_trained_like_each_alone(tmp_path: Path, device: str):
    pictures = photos(tmp_path)
    group, alone = TrainingGroup(two_solvers(pictures, device)), two_solvers(pictures, device)
    for solver in alone.values():
        solver.learning_rate = lambda: 1e-3
    tolerance = 1e-5 if device == "cpu" else 1e-2
    for _ in range(21):  # with two updates of SOAP's bases on a CPU
        group.train_round(1e-3, reset_dormant=True)
        for name, solver in alone.items():
            loss = solver.training_step().item()
            assert group.losses[name].item() == pytest.approx(loss, rel=tolerance)
    for name, solver in alone.items():
        side_by_side = group.solvers[name]
        assert side_by_side.step == solver.step == 21
        for a, b in ((side_by_side.network, solver.network), (side_by_side.ema, solver.ema)):
            for one, other in zip(a.parameters(), b.parameters(), strict=True):
                torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_rounds_do_not_wait_for_the_device_but_at_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    group = TrainingGroup(two_solvers(photos(tmp_path), "cuda"))
    for _ in range(2):
        group.train_round(1e-3, reset_dormant=False)
    monkeypatch.setattr(group, "_limit_queue", lambda: None)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        group.train_round(1e-3, reset_dormant=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    times = group.times.take()
    assert times[FORWARD_BACKWARD, "nf"] > 0
    assert times[(OPTIMIZER,)] > 0


# --- files


def test_a_group_continues_from_its_files_with_16_bits_of_each_tensor(tmp_path: Path):
    pictures = photos(tmp_path)
    group, resumed = TrainingGroup(two_solvers(pictures)), TrainingGroup(two_solvers(pictures))
    for _ in range(11):
        group.train_round(1e-3, reset_dormant=True)
    save_states(tmp_path, group, list(group.solvers), Progress(elapsed=7, begin=2))
    assert load_states(tmp_path, resumed) == Progress(elapsed=7, begin=2)
    for name, solver in group.solvers.items():
        other = resumed.solvers[name]
        assert other.step == solver.step == 11
        for a, b in ((solver.network, other.network), (solver.ema, other.ema)):
            for one, two in zip(a.parameters(), b.parameters(), strict=True):
                torch.testing.assert_close(one, two, rtol=2**-11, atol=1e-7)
    states = zip(group.optimizer.state_by_parameter(), resumed.optimizer.state_by_parameter(), strict=True)
    for state, found in states:
        assert found.keys() == state.keys()
        assert found["step"] == state["step"] == 11
        torch.testing.assert_close(found["square"], state["square"], rtol=2**-8, atol=0)
        for basis in [name for name in state if name.endswith("basis")]:
            identity = torch.eye(len(state[basis]))
            torch.testing.assert_close(found[basis].mT @ found[basis], identity, atol=1e-5, rtol=0)
            # Each direction is the same; its sign does not matter.
            torch.testing.assert_close((found[basis].mT @ state[basis]).abs(), identity, atol=1e-2, rtol=0)
    resumed.train_round(1e-3, reset_dormant=False)


def test_a_group_does_not_continue_from_files_of_some_networks_only(tmp_path: Path):
    group = TrainingGroup(two_solvers(photos(tmp_path)))
    group.train_round(1e-3, reset_dormant=False)
    save_states(tmp_path, group, ["nf"], Progress(1, 0))
    assert state_path(tmp_path, "nf").exists()
    assert load_states(tmp_path, group) is None


def test_after_a_kill_between_two_files_the_time_is_that_of_the_newer_one(tmp_path: Path):
    group = TrainingGroup(two_solvers(photos(tmp_path)))
    group.train_round(1e-3, reset_dormant=False)
    save_states(tmp_path, group, ["nf", "srmd"], Progress(10, 1))
    group.train_round(1e-3, reset_dormant=False)
    save_states(tmp_path, group, ["nf"], Progress(20, 1))
    assert load_states(tmp_path, group) == Progress(20, 1)
    assert [solver.step for solver in group.solvers.values()] == [2, 1]
    group.train_round(1e-3, reset_dormant=False)


# --- jobs, with a clock that advances by half a minute in each round


@pytest.fixture
def shipped_small_networks(folder_with_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `weights` with small networks, whose shape new networks have too."""
    Path("weights").mkdir()
    small = {"features": 16, "layers": 4}
    for name in NETWORKS:
        shape = read_weights(ROOT / "weights" / f"{name}.safetensors").network.config
        weights = Weights(SRMD(replace(shape, **small)), default_pca(shape.kernel_size), {"training": {"steps": 5}})
        write_weights(Path("weights", f"{name}.safetensors"), weights)
    monkeypatch.setattr("srmd.train.setup.NetworkConfig", functools.partial(NetworkConfig, **small))
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 2)  # batches have one patch
    for module in (plans, settings):
        monkeypatch.setattr(module, "ROOT", Path.cwd())


@pytest.fixture
def job_clock(shipped_small_networks: None, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the job; its item is to be set to 0 where a new process would begin."""
    seconds = [0.0]
    monkeypatch.setattr(clock, "STARTED", 0.0)
    monkeypatch.setattr(clock, "monotonic", lambda: seconds[0])
    train_round = TrainingGroup.train_round

    def timed(group: TrainingGroup, lr: float, reset_dormant: bool) -> None:
        train_round(group, lr, reset_dormant)
        seconds[0] += 30

    monkeypatch.setattr(TrainingGroup, "train_round", timed)
    return seconds


def run_job(seconds: list[float], minutes: float = 2.5, total_minutes: float = 5, *flags: str) -> int:
    seconds[0] = 0
    times = [f"--minutes={minutes}", f"--total_minutes={total_minutes}", "--save_minutes=1"]
    return main([*times, "--output=run", *SMALL, *flags])


def steps(rows: list[dict], name: str) -> list[int]:
    return [row["step"] for row in rows if row["network"] == name]


def test_a_run_of_two_jobs_saves_in_intervals_and_ends_with_its_time(
    job_clock: list[float], capsys: pytest.CaptureFixture
):
    assert run_job(job_clock) == 0
    assert "this job is over; the same command continues" in capsys.readouterr().out
    assert steps(read_rows("run"), "srmdnf_x2") == steps(read_rows("run"), "srmd_x4") == [0, 2, 4, 5]
    assert run_job(job_clock) == 0
    rows = read_rows("run")
    assert steps(rows, "srmd_x4") == [0, 2, 4, 5, 7, 9, 10]
    rates = {row["elapsed"]: row["lr"] for row in rows if row["step"]}
    assert rates == {end: pytest.approx(learning_rate(1e-4, (end - 30) / 300)) for end in (60, 120, 150, 210, 270, 300)}
    printed = capsys.readouterr().out
    assert "5.0 of 5 minutes" in printed
    assert "the run is finished" in printed
    assert run_job(job_clock) == 0
    assert read_rows("run") == rows
    assert "The run in run is finished" in capsys.readouterr().out


def test_a_run_of_six_networks_has_eight_files(job_clock: list[float]):
    assert run_job(job_clock, 0.5) == 0
    names = {"settings.json", "metrics.jsonl", *(f"{name}.safetensors" for name in NETWORKS)}
    assert {path.name for path in Path("run").iterdir()} == names
    assert len(settings.NETWORKS) == 6


@pytest.mark.usefixtures("folder_with_pictures")
def test_the_files_of_six_networks_have_at_most_16_mib_each_and_64_mib_together():
    Path("weights").symlink_to(ROOT / "weights")
    flags = "--batch_size=1 --patch_size=8 --minutes=1 --total_minutes=1 --save_minutes=0 --train_data=pictures"
    with pytest.MonkeyPatch.context() as patch:  # one round
        patch.setattr(
            Clock, "is_over", lambda run: any(path.suffix == ".safetensors" for path in Path("run").iterdir())
        )
        assert main([*flags.split(), "--output=run", "--networks", "srmd_x4"]) == 0  # the largest of them
    largest = Path("run/srmd_x4.safetensors").stat().st_size
    assert 10 * MIB < largest < 16 * MIB
    assert 6 * largest < 63 * MIB


def test_what_was_logged_after_the_last_saved_state_is_dropped(job_clock: list[float]):
    assert run_job(job_clock) == 0
    rows = read_rows("run")
    with Path("run/metrics.jsonl").open("a") as file:
        file.write(json.dumps(rows[-1] | {"elapsed": 280.0, "step": 9}) + '\n{"step": 1')
    assert run_job(job_clock, 1) == 0
    assert read_rows("run")[: len(rows)] == rows
    assert steps(read_rows("run"), "srmd_x4") == [0, 2, 4, 5, 7]


def test_a_network_that_diverges_keeps_its_file_and_the_others_go_on(
    job_clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    assert run_job(job_clock, 1) == 0
    good = Path("run/srmd_x4.safetensors").read_bytes()
    check_loss = Solver.check_loss

    def diverged_at_x4(solver: Solver, loss: torch.Tensor) -> float:
        return check_loss(solver, loss * torch.inf if solver.config.scale_factor == 4 else loss)

    monkeypatch.setattr(Solver, "check_loss", diverged_at_x4)
    assert run_job(job_clock, 1) == 1
    assert capsys.readouterr().err.endswith("diverged, files not replaced: srmd_x4\n")  # once, after several saves
    assert Path("run/srmd_x4.safetensors").read_bytes() == good
    with safe_open("run/srmdnf_x2.safetensors", "pt") as file:
        assert json.loads(file.metadata()["srmd_training"])["config"]["steps"] == 4


def test_other_settings_than_those_of_the_run_are_refused(job_clock: list[float], capsys: pytest.CaptureFixture):
    messages = {
        ("--lr=1e-3",): "--lr: the run in run was started with 0.0001, found 0.001\n",
        ("--networks", "srmd_x4"): "started with ['srmdnf_x2', 'srmd_x4'], found ['srmd_x4']\n",
        ("--total_minutes=6",): "total_minutes: the run in run was started with 5.0, found 6.0\n",
    }
    assert run_job(job_clock, 0.5) == 0
    capsys.readouterr()
    for flags, message in messages.items():
        with pytest.raises(SystemExit) as ended:
            run_job(job_clock, 0.5, 5, *flags)
        assert ended.value.code == 2
        assert capsys.readouterr().err.endswith(message)


def test_the_networks_of_a_run_are_collected_and_shipped(job_clock: list[float], monkeypatch: pytest.MonkeyPatch):
    assert run_job(job_clock, 0.5) == 0
    first, second = collect(Path("run"))
    assert [first.name, second.name] == ["srmd_x4", "srmdnf_x2"]
    network = read_weights(second / "last.safetensors")
    assert (network.network.config.scale, network.network.config.kind) == (2, "SRMDNF")
    monkeypatch.setattr(ship, "ROOT", Path("new"))
    Path("new/weights").mkdir(parents=True)
    ship.ship(second, [Path("pictures")])
    metadata = read_weights(Path("new/weights/srmdnf_x2.safetensors")).metadata
    assert metadata["training"]["steps"] == 1
    assert metadata["training"]["weights"] == "weights/srmdnf_x2.safetensors"
    assert metadata["command"].startswith("python -m benchmarks.gpu --minutes=0.5")
    assert metadata["history"] == [{"steps": 5}]


def test_the_table_shows_each_network_and_the_sums():
    row = {"step": 100, "patches_per_s": 1000.0, "loss": 0.01, "psnr_y": 33.0, "psnr_y_gain": 0.1}
    row |= {f"{FORWARD_BACKWARD} [ms]": 7.0, f"{OPTIMIZER} [ms]": 0.5, f"{BATCH} [ms]": 3.0}
    row |= {"operations_per_s_computing": 4e14, "operations_per_s": 1.5e14}
    header, first, second, total = table([row | {"network": "a"}, row | {"network": "b"}], 8e14).splitlines()
    assert header.split()[:2] == ["network", "steps"]
    assert first.split() == ["a", "100", "1000", "7.00", "0.50", "3.00", "50.0%", "0.01000", "33.000", "(+0.100)"]
    assert second.split()[0] == "b"
    assert total.split() == ["all", "2000", "14.00", "1.00", "6.00", "37.5%"]


def test_weights_that_are_not_finite_do_not_replace_a_file(job_clock: list[float], monkeypatch: pytest.MonkeyPatch):
    assert run_job(job_clock, 1) == 0
    good, train_round = Path("run/srmd_x4.safetensors").read_bytes(), TrainingGroup.train_round

    def spoil(group: TrainingGroup, *arguments: float, **options: bool) -> None:
        train_round(group, *arguments, **options)  # its loss is that before the step
        group.solvers["srmd_x4"].network.head.weight.data.fill_(torch.nan)

    monkeypatch.setattr(TrainingGroup, "train_round", spoil)
    assert run_job(job_clock, 0.5) == 1
    assert Path("run/srmd_x4.safetensors").read_bytes() == good
