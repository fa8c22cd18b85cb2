"""Training, in this process, on small pictures."""

import copy
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from small_runs import QUICK, train
from srmd.cli import main
from srmd.config import TrainConfig
from srmd.data_loader import open_training_data
from srmd.kernel.families import gaussian
from srmd.kernel.motion import motion_kernels
from srmd.kernel.pca import kernel_codes, pca_matrix
from srmd.model import SRMD, NetworkConfig
from srmd.solver import Solver
from srmd.train.batches import Batch, Batches
from srmd.weights.checkpoint import load_checkpoint
from srmd.weights.files import Weights, read_weights, write_weights

pytestmark = pytest.mark.usefixtures("folder_with_pictures")
SLOW = pytest.mark.slow


def rows(output: str) -> list[dict]:
    return [json.loads(line) for line in Path(output, "metrics.jsonl").read_text().splitlines()]


def losses(output: str) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in rows(output)]


def same_network(a: str, b: str) -> bool:
    states = [read_weights(Path(folder, "last.safetensors")).network.state_dict() for folder in (a, b)]
    return all(torch.equal(x, y) for x, y in zip(states[0].values(), states[1].values(), strict=True))


def signal_at_step(monkeypatch: pytest.MonkeyPatch, step: int, number: int) -> None:
    """Calls what answers a signal; real ones go to processes of their own, in test_journey."""
    training_step = Solver.training_step

    def step_and_signal(solver: Solver) -> torch.Tensor:
        if solver.step == step - 1:
            signal.getsignal(number)(number, None)
        return training_step(solver)

    monkeypatch.setattr(Solver, "training_step", step_and_signal)


def test_a_run_leaves_what_it_should(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=12", "--save_every=5") == 0
    assert sorted(path.name for path in Path("run").iterdir() if not path.name.startswith(".")) == [
        "checkpoint-0000005.pt",
        "checkpoint-0000010.pt",
        "checkpoint-0000012.pt",
        "config.json",
        "last.safetensors",
        "loss.png",
        "metrics.jsonl",
        "samples",
    ]
    assert [row["step"] for row in rows("run")] == [1, 10, 12]
    assert {"step", "loss", "lr", "images_per_s"} <= rows("run")[1].keys()
    assert {"psnr_y", "bicubic_psnr_y"} <= rows("run")[-1].keys()
    assert json.loads(Path("run/config.json").read_text())["steps"] == 12
    assert Image.open("run/loss.png").size == (800, 450)
    assert Image.open("run/samples/step-0000012.png").size[0] > 4 * 16
    assert read_weights(Path("run/last.safetensors")).metadata["steps"] == 12
    assert "run holds the network, last.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [
        "",
        pytest.param("--head=upsample", marks=SLOW),
        pytest.param("--noise_free --loss=l2", marks=SLOW),
        pytest.param("--downsampler=direct", marks=SLOW),
    ],
)
def test_training_makes_the_validation_better(flags: str):
    assert train("run", "--steps=60", "--lr=3e-4", "--scale_factor=2", *flags.split()) == 0
    psnr = [row["psnr_y"] for row in rows("run") if "psnr_y" in row]
    assert psnr[-1] > psnr[0] + 0.3


@pytest.mark.slow
def test_training_with_batch_norm_lowers_the_loss():
    assert train("run", "--steps=60", "--batch_norm", "--batch_size=16") == 0
    values = [loss for _, loss in losses("run")]
    assert np.mean(values[-3:]) < 0.8 * values[0]


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_every_scale_trains(scale: int):
    assert train("run", "--steps=2", f"--scale_factor={scale}") == 0
    assert read_weights(Path("run/last.safetensors")).network.config.scale == scale


def test_the_learning_rate_warms_up_and_ends_near_zero():
    assert train("run", "--steps=40", "--lr=1e-3") == 0
    rate = {row["step"]: row["lr"] for row in rows("run")}
    assert rate[1] == pytest.approx(1e-3 / 4)
    assert rate[10] > rate[20] > rate[30] > rate[40]
    assert 0 < rate[40] < 1e-5


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    for output, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(output, "--steps=2", f"--seed={seed}") == 0
    assert losses("a") == losses("b") != losses("c")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=SLOW)])
def test_a_stopped_run_goes_on_to_the_bit(monkeypatch: pytest.MonkeyPatch, number: int, code: int):
    assert train("whole", "--steps=21") == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 13, number)
        assert train("parts", "--steps=21") == code
    assert losses("parts") == losses("whole")[:2]
    assert train("parts", "--resume") == 0
    assert losses("parts") == losses("whole")
    assert same_network("parts", "whole")


@pytest.mark.slow
def test_a_run_goes_on_to_the_bit_where_dormant_features_are_reset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("srmd.solver.RESET_EVERY", 5)
    training_step = Solver.training_step

    def step_that_kills(solver: Solver) -> torch.Tensor:
        loss = training_step(solver)
        if solver.step == 10:
            solver.network.convs[3].bias.data[5:9] = -1e3
        return loss

    monkeypatch.setattr(Solver, "training_step", step_that_kills)
    assert train("whole", "--steps=21") == 0
    assert "dormant features were reset at step 10" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        signal_at_step(patch, 10, signal.SIGINT)
        assert train("parts", "--steps=21") == 130
    assert "dormant features were reset at step 10" not in capsys.readouterr().out
    assert train("parts", "--resume") == 0
    assert "dormant features were reset at step 10" in capsys.readouterr().out
    assert losses("parts") == losses("whole")
    assert same_network("parts", "whole")


@pytest.mark.parametrize(("flags", "expected"), [((), [0, 0, 5, 5, 10, 10]), (("--batch_norm",), [])])
def test_dormant_features_are_looked_for_in_the_first_half_alone(
    flags: tuple, expected: list[int], monkeypatch: pytest.MonkeyPatch
):
    steps, looked = [0], []

    def look(network: SRMD, *told: torch.Tensor) -> list[torch.Tensor]:
        looked.append(steps[-1])
        return [torch.tensor([False])]

    monkeypatch.setattr("srmd.solver.RESET_EVERY", 5)
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 4)  # two batches
    monkeypatch.setattr("srmd.solver.dormant_features", look)
    monkeypatch.setattr(Solver, "optimizer_step", lambda solver: steps.append(solver.step))
    assert train("run", "--steps=21", *flags) == 0
    assert looked == expected


def test_a_run_that_died_goes_on_from_its_newest_whole_checkpoint(capsys: pytest.CaptureFixture):
    assert train("whole", "--steps=21") == 0
    assert train("died", "--steps=21", "--save_every=7") == 0
    for name in ("checkpoint-0000021.pt", "checkpoint-0000014.pt"):  # the newest cut short, as on a full disk
        Path("died", name).write_bytes(Path("died", name).read_bytes()[:1000])
    Path("died/checkpoint-0000021.pt").unlink()
    assert train("died", "--resume") == 0
    assert "checkpoint-0000014.pt: not a checkpoint" in capsys.readouterr().out
    assert Path("died/checkpoint-0000014.broken").exists()
    assert losses("died") == losses("whole")
    assert same_network("died", "whole")


def test_resuming_a_finished_run_says_so(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    before = Path("run/metrics.jsonl").read_bytes()
    assert train("run", "--resume") == 0
    assert "finished" in capsys.readouterr().out
    assert Path("run/metrics.jsonl").read_bytes() == before


def test_resuming_without_a_checkpoint_starts_and_says_so(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    for path in Path("run").glob("checkpoint-*"):
        path.unlink()
    assert train("run", "--resume") == 0
    assert "No checkpoint" in capsys.readouterr().out
    assert len(rows("run")) == 2


def other_weights(path: str) -> Weights:
    """A network of another scale, with a P that is not the project's."""
    torch.manual_seed(5)
    weights = Weights(SRMD(NetworkConfig(3)), -torch.from_numpy(pca_matrix()))
    write_weights(Path(path), weights)
    return weights


def test_training_starts_from_other_weights_with_their_pca(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # many features are dormant on patches of 8×8
    source = other_weights("first.safetensors")
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors") == 0
    state = vars(load_checkpoint(next(Path("run").glob("checkpoint-*"))))
    assert torch.equal(state["pca"], source.pca)
    found, given = state["network"]["convs.5.weight"], source.network.convs[5].weight
    torch.testing.assert_close(found, given.detach(), atol=1e-6, rtol=0)


def test_batch_norm_does_not_start_from_weights_without_it(capsys: pytest.CaptureFixture):
    other_weights("first.safetensors")
    assert train("run", "--steps=1", "--batch_norm", "--weights=first.safetensors") == 2
    assert capsys.readouterr().err.startswith("--batch_norm: expected weights of a network that has it")


def test_a_run_goes_on_without_the_weights_it_started_from(monkeypatch: pytest.MonkeyPatch):
    other_weights("first.safetensors")
    assert train("whole", "--steps=11", "--weights=first.safetensors") == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 5, signal.SIGINT)
        assert train("parts", "--steps=11", "--weights=first.safetensors") == 130
    Path("first.safetensors").unlink()
    assert train("parts", "--resume") == 0
    assert losses("parts") == losses("whole")


def own_kernels(count: int = 40, size: int = 15) -> str:
    """The flag that names a file of motion kernels."""
    np.save("motion.npy", motion_kernels(np.random.default_rng(0), count, size))
    return "--train_kernels=motion.npy"


def test_training_on_own_kernels_tells_codes_by_a_pca_of_theirs(monkeypatch: pytest.MonkeyPatch):
    batches, draw = [], Batches.draw

    def record(self: Batches, number: int) -> Batch:
        batches.append(draw(self, number))
        return batches[-1]

    monkeypatch.setattr(Batches, "draw", record)
    flags = [own_kernels(), "--gaussian_share=0", "--pca_dim=30", "--noise_free"]
    assert train("run", "--steps=2", *flags) == 0
    weights = read_weights(Path("run/last.safetensors"))
    assert weights.pca.shape == (30, 225)
    assert weights.network.config.map_channels == 30
    own = torch.from_numpy(np.load("motion.npy")).float()
    for batch in batches:
        assert all((kernel - own).abs().amax((1, 2)).min() < 1e-7 for kernel in batch.kernels)
        torch.testing.assert_close(batch.degradation_map[..., 0, 0], kernel_codes(batch.kernels, weights.pca))


def test_a_network_of_a_larger_window_is_trained_and_tested():
    assert train("run", "--steps=2", own_kernels(size=21), "--kernel_size=21", "--pca_dim=20") == 0
    weights = read_weights(Path("run/last.safetensors"))
    assert (weights.network.config.kernel_size, weights.pca.shape) == (21, (20, 441))
    np.save("one.npy", np.load("motion.npy")[0])
    flags = ["--weights=run/last.safetensors", "--test_data=pictures", "--kernel=one.npy", "--visdom=off"]
    assert main.main(["--mode=test", "--output=result", "--device=cpu", *flags]) == 0
    assert Path("result/a.png").exists()


def test_a_larger_window_needs_no_kernels_of_one_s_own():
    assert train("run", "--steps=1", "--kernel_size=21") == 0
    assert read_weights(Path("run/last.safetensors")).pca.shape == (15, 441)


def test_a_run_on_own_kernels_goes_on_to_the_bit_without_their_file(monkeypatch: pytest.MonkeyPatch):
    flags = ["--steps=11", own_kernels(), "--gaussian_share=0.3", "--pca_dim=20"]
    assert train("whole", *flags) == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 5, signal.SIGINT)
        assert train("parts", *flags) == 130
    Path("motion.npy").unlink()
    assert train("parts", "--resume") == 0
    assert losses("parts") == losses("whole")
    assert same_network("parts", "whole")


def test_a_run_on_own_kernels_keeps_its_share(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=1", own_kernels(), "--gaussian_share=0.3") == 0
    assert train("run", "--resume", "--gaussian_share=0.4") == 2
    assert "--gaussian_share: the run in run has 0.3, found 0.4" in capsys.readouterr().err


@pytest.mark.parametrize("flags", ["own", "--pca_dim=20", "--kernel_size=21"])
def test_weights_are_translated_to_the_pca_of_other_kernels_and_wider_codes(flags: str, capsys: pytest.CaptureFixture):
    source = other_weights("first.safetensors")
    flags = [own_kernels() if flags == "own" else flags]
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors", *flags) == 0
    assert "P is computed anew, and the first layer of first.safetensors is reprojected" in capsys.readouterr().out
    state = vars(load_checkpoint(next(Path("run").glob("checkpoint-*"))))
    size, dim = (state["network_config"][name] for name in ("kernel_size", "pca_dim"))
    codes = [
        kernel_codes(torch.from_numpy(gaussian(1.3, 1.0, 30, s)).float(), p)
        for s, p in ((15, source.pca), (size, state["pca"]))
    ]
    seen = [
        w[:, 3 : 3 + len(c)].transpose(1, -1) @ c
        for w, c in zip((source.network.convs[0].weight, state["network"]["convs.0.weight"]), codes, strict=True)
    ]
    assert (seen[0] - seen[1]).norm() < 0.1 * seen[0].norm()
    assert state["pca"].shape == (dim, size**2)


@pytest.mark.parametrize(("name", "given"), [("pca_dim", 20), ("kernel_size", 21)])
def test_a_code_narrower_than_that_of_the_weights_is_refused(name: str, given: int, capsys: pytest.CaptureFixture):
    config = NetworkConfig(**{name: given})
    weights = Weights(SRMD(config), torch.zeros(config.pca_dim, config.kernel_size**2))
    write_weights(Path("wide.safetensors"), weights)
    assert train("run", "--steps=1", "--weights=wide.safetensors") == 2
    expected = f"--{name}: expected at least {given}, as wide.safetensors has, found 15\n"
    assert capsys.readouterr().err == expected


def test_the_average_follows_the_network_quickly_at_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Solver, "reset_dormant", lambda solver: None)  # changes where it starts from
    assert train("run", "--steps=1") == 0
    state = vars(load_checkpoint(next(Path("run").glob("checkpoint-*"))))
    torch.manual_seed(0)
    start = SRMD(NetworkConfig()).state_dict()
    expected = start["convs.5.weight"] * 2 / 11 + state["network"]["convs.5.weight"] * 9 / 11
    torch.testing.assert_close(state["ema"]["convs.5.weight"], expected)


def test_a_network_trained_in_bfloat16_is_saved_as_it_computed():
    flags = [flag for flag in QUICK if "precision" not in flag]
    assert main.main(["--mode=train", "--output=run", *flags, "--precision=bf16", "--steps=3"]) == 0
    network = read_weights(Path("run/last.safetensors")).network
    assert torch.equal(network.convs[5].weight, network.convs[5].weight.bfloat16().float())
    assert not torch.equal(network.head.weight, network.head.weight.bfloat16().float())


def test_a_run_that_diverges_fails_and_keeps_what_was_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    training_step = Solver.training_step

    def diverge(solver: Solver) -> torch.Tensor:
        loss = training_step(solver)
        return loss if solver.step < 12 else torch.tensor(float("nan"))

    monkeypatch.setattr(Solver, "training_step", diverge)
    assert train("run", "--steps=100", "--save_every=8") == 1
    assert "the loss is nan at step 16: start a new run with a lower --lr" in capsys.readouterr().err
    assert [row["step"] for row in rows("run")] == [1, 10]
    assert [path.name for path in Path("run").glob("checkpoint-*")] == ["checkpoint-0000008.pt"]


def test_where_no_checkpoint_can_be_read_nothing_is_thrown_away(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=3") == 0
    (checkpoint,) = Path("run").glob("checkpoint-*")
    checkpoint.write_bytes(b"PK broken")
    assert train("run", "--resume") == 2
    assert "--resume: none of the 1 checkpoints" in capsys.readouterr().err
    assert checkpoint.exists()
    assert rows("run")


def test_pictures_that_are_too_small_are_refused_in_one_line(capsys: pytest.CaptureFixture):
    assert train("run", "--patch_size=80") == 2
    assert capsys.readouterr().err.startswith("--train_data:")
    assert not Path("run").exists()


def test_a_request_that_is_refused_leaves_a_folder_that_was_there_as_it_was():
    Path("run").mkdir()
    assert train("run", "--patch_size=80") == 2
    assert list(Path("run").iterdir()) == []


def test_a_run_is_resumed_without_winograd_where_that_cannot_be_used():
    assert train("run", "--steps=4", "--save_every=2") == 0
    state = vars(load_checkpoint(Path("run/checkpoint-0000004.pt"))) | {"winograd": True}  # as in fp32
    config = TrainConfig(precision="bf16", device="cpu", batch_size=2, patch_size=8)
    solver = Solver(config, *open_training_data(Path("pictures")).split())
    solver.load_state_dict(state)
    assert not solver.winograd


def test_a_run_of_another_version_is_not_resumed(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr("srmd.solver.__version__", "0.0.1")
        signal_at_step(patch, 3, signal.SIGTERM)
        assert train("run", "--steps=9") == 143
    assert train("run", "--resume") == 2
    assert "--resume: run was begun by version 0.0.1" in capsys.readouterr().err
    assert train("again", "--steps=2", "--weights=run/last.safetensors") == 0


def test_a_solver_goes_on_from_its_state_dict_to_the_bit():
    config = TrainConfig(precision="fp32", device="cpu", batch_size=2, patch_size=8, steps=9, lr=1e-3)
    pictures = open_training_data(Path("pictures")).split()
    whole, parts = Solver(config, *pictures), Solver(config, *pictures)
    for _ in range(3):
        parts.training_step()
    resumed = Solver(config, *pictures)
    resumed.load_state_dict(copy.deepcopy(parts.state_dict()))
    for _ in range(6):
        whole.training_step()
    for solver in (parts, resumed):
        for _ in range(3):
            solver.training_step()
        assert solver.step == 6
        for a, b in zip(whole.ema.parameters(), solver.ema.parameters(), strict=True):
            assert torch.equal(a, b)


def test_where_the_held_out_picture_is_too_small_validation_is_on_those_of_training():
    Image.new("RGB", (20, 20)).save("pictures/b.png")  # the one in the middle is held out
    assert train("run", "--steps=1") == 0
    assert rows("run")[0]["psnr_y"] > 0


def test_weights_without_a_p_are_refused(capsys: pytest.CaptureFixture):
    network = SRMD(NetworkConfig(features=4, layers=3))
    convs = {"model.0": network.convs[0], "model.2": network.convs[1], "model.4": network.head}
    torch.save({f"{name}.{key}": t for name, conv in convs.items() for key, t in conv.state_dict().items()}, "kair.pth")
    assert train("run", "--steps=1", "--weights=kair.pth") == 2
    assert capsys.readouterr().err.startswith("--weights: kair.pth: expected weights with their P, found a format")


def test_the_state_of_a_run_with_another_pca_is_refused():
    config = TrainConfig(precision="fp32", device="cpu", batch_size=2, patch_size=8)
    solver = Solver(config, *open_training_data(Path("pictures")).split())
    with pytest.raises(ValueError, match="state: expected that of a run with the same P"):
        solver.load_state_dict(solver.state_dict() | {"pca": -solver.pca})


def test_a_run_of_version_0_4_is_told_why_it_does_not_go_on(capsys: pytest.CaptureFixture):
    assert train("run", "--steps=2") == 0
    path = Path("run/config.json")
    config = json.loads(path.read_text())
    del config["threads"]  # which is new
    path.write_text(json.dumps(config | {"steps": 9}))
    (checkpoint,) = Path("run").glob("checkpoint-*")
    state = torch.load(checkpoint, weights_only=True) | {"version": "0.4.0"}
    del state["winograd"]
    torch.save(state, checkpoint)
    capsys.readouterr()
    assert train("run", "--resume") == 2
    said = capsys.readouterr().err
    assert said.startswith("--resume: run was begun by version 0.4.0")
    assert said.endswith("; --weights=run/last.safetensors starts from it\n")


def test_weights_are_checked_before_pictures_are_packed(capsys: pytest.CaptureFixture):
    Path("no.weights").write_text("text")
    assert train("run", "--weights=no.weights") == 2
    assert capsys.readouterr().err.startswith("--weights: no.weights")
    assert not Path("data").exists()
