"""Training and testing, in this process, on small pictures."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

import main
from batches import Batch
from config import TrainConfig
from data_loader import open_training_data
from kernel import fit_kernel, gaussian, kernel_codes, pca_matrix
from model import SRMD, NetworkConfig
from motion import motion_kernels
from solver import Solver
from weights import Weights, load_checkpoint, read_weights, write_weights

SHARED = Path(__file__).parents[2] / "shared"

QUICK = [
    "--batch_size=2",
    "--patch_size=8",
    "--precision=fp32",
    "--device=cpu",
    "--visdom=off",
    "--train_data=pictures",
]


@pytest.fixture(autouse=True)
def _folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("solver.winograd_pays", lambda *_: False)  # a trial of speed may end otherwise in the next run
    Path("pictures").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        coarse = Image.fromarray(rng.integers(0, 256, (12, 14, 3), np.uint8))
        coarse.resize((84, 72), Image.Resampling.BICUBIC).save(f"pictures/{name}.png")


def train(output: str, *flags: str) -> int:
    resuming = any(flag.startswith("--resume") for flag in flags)
    return main.main(["--mode=train", f"--output={output}", *(QUICK if not resuming else ["--visdom=off"]), *flags])


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
        if solver.step == step:
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


@pytest.mark.parametrize("flags", ["", "--head=upsample", "--noise_free --loss=l2", "--downsampler=direct"])
def test_training_makes_the_validation_better(flags: str):
    assert train("run", "--steps=60", "--lr=3e-4", "--scale_factor=2", *flags.split()) == 0
    psnr = [row["psnr_y"] for row in rows("run") if "psnr_y" in row]
    assert psnr[-1] > psnr[0] + 0.5


def test_training_with_batch_norm_lowers_the_loss():
    assert train("run", "--steps=60", "--batch_norm", "--batch_size=32") == 0
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_to_the_bit(monkeypatch: pytest.MonkeyPatch, number: int, code: int):
    assert train("whole", "--steps=21") == 0
    with monkeypatch.context() as patch:
        signal_at_step(patch, 13, number)
        assert train("parts", "--steps=21") == code
    assert losses("parts") == losses("whole")[:2]
    assert train("parts", "--resume") == 0
    assert losses("parts") == losses("whole")
    assert same_network("parts", "whole")


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


def test_training_starts_from_other_weights_with_their_pca():
    source = other_weights("first.safetensors")
    assert train("run", "--steps=1", "--lr=1e-9", "--weights=first.safetensors") == 0
    state = load_checkpoint(next(Path("run").glob("checkpoint-*")))
    assert torch.equal(state["pca"], source.pca)
    found, given = state["network"]["convs.5.weight"], source.network.convs[5].weight
    torch.testing.assert_close(found, given.detach(), atol=1e-6, rtol=0)


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
    batches, backward = [], Solver.backward
    monkeypatch.setattr(Solver, "backward", lambda solver, batch: batches.append(batch) or backward(solver, batch))
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
    assert "P is computed anew, and the first layer of first.safetensors is translated" in capsys.readouterr().out
    state = load_checkpoint(next(Path("run").glob("checkpoint-*")))
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


def test_the_average_follows_the_network_quickly_at_first():
    assert train("run", "--steps=1") == 0
    state = load_checkpoint(next(Path("run").glob("checkpoint-*")))
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
    backward = Solver.backward

    def diverge(solver: Solver, batch: Batch) -> torch.Tensor:
        return backward(solver, batch) if solver.step < 12 else torch.tensor(float("nan"))

    monkeypatch.setattr(Solver, "backward", diverge)
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


# Testing.


def check(*flags: str) -> int:
    return main.main(["--mode=test", "--output=result", "--precision=fp32", "--visdom=off", *flags])


def metrics() -> dict:
    return json.loads(Path("result/metrics.json").read_text())


@pytest.fixture
def trained(request: pytest.FixtureRequest) -> str:
    """A network that has seen few steps: near to nearest-neighbour upscaling."""
    assert train("run", "--steps=1", *getattr(request, "param", "").split()) == 0
    return "--weights=run/last.safetensors"


def test_hr_pictures_are_degraded_restored_and_scored(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--noise_level=5", "--save_lr") == 0
    found = metrics()
    assert found["degradation"] == {"kernel": "gaussian:1.3", "noise_level": 5, "downsampler": "bicubic"}
    assert found["assumed"] == {"kernel": "gaussian:1.3", "noise_level": 5}
    assert [image["name"] for image in found["images"]] == ["a", "b", "c"]
    assert found["images"][0].keys() == found["mean"].keys() | {"name"}
    assert found["mean"]["psnr_y"] == pytest.approx(np.mean([image["psnr_y"] for image in found["images"]]))
    assert found["scale"] == 2
    assert found["version"]
    assert found["command"].startswith("python main.py --mode=test --output=result")
    assert Image.open("result/a.png").size == (84, 72)
    assert Image.open("result/lr/a.png").size == (42, 36)
    assert Image.open("result/compare/a.png").size[0] == 4 * 84 + 12
    said = capsys.readouterr().out
    assert "applied: kernel gaussian:1.3, noise 5" in said
    assert "assumed: kernel gaussian:1.3 (its code leaves out 0.7%), noise 5" in said
    assert "warning" not in said
    assert "rounded to 8 bits" in said


def test_what_is_assumed_is_told_and_what_is_applied_is_done(trained: str):
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3") == 0
    right = metrics()["mean"]
    assert check(trained, "--test_data=pictures", "--kernel=gaussian:1.3", "--assumed_kernel=delta") == 0
    wrong = metrics()
    assert wrong["assumed"]["kernel"] == "delta"
    assert wrong["mean"]["bicubic_psnr_y"] == right["bicubic_psnr_y"]  # the same was applied
    assert wrong["mean"]["psnr_y"] != right["psnr_y"]


def test_the_kernel_is_applied_where_it_points(trained: str):
    """A kernel that moves the picture by two columns: bicubic upscaling of its result is moved by two columns."""
    shifted = np.zeros((15, 15))
    shifted[7, 9] = 1  # correlation: each pixel takes its value from two columns to the right
    np.save("shifted.npy", shifted)
    hr = np.asarray(Image.open("pictures/a.png"))
    Path("moved").mkdir()
    Image.fromarray(np.concatenate([hr[:, 2:], hr[:, -1:], hr[:, -1:]], 1)).save("moved/a.png")
    assert check(trained, "--test_data=pictures/a.png", "--kernel=shifted.npy", "--save_lr") == 0
    lr = np.asarray(Image.open("result/lr/a.png")).astype(int)
    assert check(trained, "--test_data=moved", "--kernel=delta", "--save_lr") == 0
    assert np.abs(lr - np.asarray(Image.open("result/lr/a.png"))).max() <= 1


@pytest.mark.parametrize("trained", ["--noise_free"], indirect=True)
def test_a_noise_free_network_is_not_told_of_noise(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--test_data=pictures", "--noise_level=25") == 0
    assert capsys.readouterr().out.count("warning") == 1
    assert metrics()["assumed"]["noise_level"] == 0
    assert check(trained, "--input", "pictures", "--kernel=delta", "--noise_level=25") == 2
    assert capsys.readouterr().err.startswith("--noise_level:")


def test_lr_pictures_are_restored_under_their_names(trained: str):
    Image.open("pictures/a.png").convert("L").save("pictures/a.jpg")
    assert check(trained, "--input", "pictures", "pictures/b.png", "--kernel=delta") == 0
    assert metrics()["degradation"] is None
    assert metrics()["images"][0].keys() == {"name", "seconds"}
    assert sorted(path.name for path in Path("result").glob("*.png")) == ["a.jpg.png", "a.png.png", "b.png", "c.png"]
    Path("more").mkdir()
    Path("more/b.png").write_bytes(Path("pictures/b.png").read_bytes())
    assert check(trained, "--input", "pictures", "more", "--kernel=delta") == 0
    assert {"more_b", "pictures_b"} < {image["name"] for image in metrics()["images"]}
    assert Image.open("result/a.png.png").size == (168, 144)
    assert Image.open("result/a.jpg.png").mode == "L"


def test_a_scale_that_is_not_the_networks_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--scale_factor=3") == 2
    assert capsys.readouterr().err.startswith("--scale_factor: run/last.safetensors is for x2, found 3")


def test_a_pca_that_is_not_needed_is_refused(trained: str, capsys: pytest.CaptureFixture):
    assert check(trained, "--pca=pictures/a.png") == 2
    assert capsys.readouterr().err.startswith("--pca: not needed")


def test_a_large_kernel_is_applied_whole_and_told_cropped(trained: str, capsys: pytest.CaptureFixture):
    np.save("large.npy", gaussian(4.0, size=31))
    assert check(trained, "--test_data=pictures", "--kernel=large.npy") == 0
    assert "large.npy is 31×31; the network is told its inner 15×15, without 12% of its mass" in capsys.readouterr().out


def test_a_kernel_that_moves_pictures_restores_them_in_place_once_it_is_recentred(
    trained: str, capsys: pytest.CaptureFixture
):
    np.save("off.npy", np.stack([np.roll(gaussian(1.0), (3, 2), (0, 1)), gaussian(2.0)]))
    flags = ["--test_data=pictures/a.png", "--kernel=off.npy", "--kernel_index=0"]
    assert check(trained, *flags) == 0
    moved = metrics()
    assert "off.npy[0] shifts pictures" in capsys.readouterr().out
    assert check(trained, *flags, "--recentre_kernel", "--save_kernel=drawn/k.mat") == 0
    assert "shifts" not in capsys.readouterr().out
    centred = metrics()
    assert moved["degradation"]["kernel"] == "off.npy[0]"
    assert centred["degradation"]["kernel"] == "off.npy[0], re-centred"
    assert centred["mean"]["bicubic_psnr_y"] > moved["mean"]["bicubic_psnr_y"] + 1
    saved = scipy.io.loadmat("drawn/k.mat")["kernel"]
    np.testing.assert_allclose(fit_kernel(saved, 15), gaussian(1.0), atol=2e-5)


def test_a_broken_or_tiny_picture_is_named(trained: str, capsys: pytest.CaptureFixture):
    Path("broken.png").write_bytes(Path("pictures/a.png").read_bytes()[:500])
    Image.new("RGB", (9, 9)).save("tiny.png")
    for flags in (["--test_data=broken.png"], ["--input", "broken.png", "--kernel=delta"], ["--test_data=tiny.png"]):
        assert check(trained, *flags) == 2
        said = capsys.readouterr().err
        assert said.startswith(flags[0].split("=")[0])
        assert "broken.png" in said or "tiny" in said


def test_a_kernel_that_its_code_describes_badly_is_warned_of(trained: str, capsys: pytest.CaptureFixture):
    np.save("box.npy", np.ones((5, 5)))
    assert check(trained, "--test_data=pictures/a.png", "--kernel=box.npy") == 0
    assert "leaves out 24.3%" in (said := capsys.readouterr().out)
    assert "warning: the network's kernel code describes box.npy badly" in said


def test_a_kernel_of_which_the_network_would_see_nothing_is_refused(trained: str, capsys: pytest.CaptureFixture):
    corner = np.zeros((31, 31))
    corner[0, 0] = 1
    np.save("corner.npy", corner)
    assert check(trained, "--test_data=pictures", "--kernel=corner.npy") == 2
    assert capsys.readouterr().err.startswith("--kernel: the inner 15×15")


def test_an_original_is_not_written_over(trained: str, capsys: pytest.CaptureFixture):
    before = Path("pictures/a.png").read_bytes()
    assert check(trained, "--input", "pictures/a.png", "--kernel=delta", "--output=pictures") == 2
    assert "would overwrite an input" in capsys.readouterr().err
    assert Path("pictures/a.png").read_bytes() == before


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks and Set5 are not on this machine")
def test_a_published_network_scores_as_published():
    """P, orientation, noise draw, downsampling and metrics in one figure."""
    flags = [f"--weights={SHARED}/reference/ncnn/srmd_x4.param", f"--pca={SHARED}/reference/srmd_pca_matlab.mat"]
    flags += [f"--test_data={SHARED}/images/test/Set5", "--kernel=gaussian:2.6,1.0,30", "--noise_level=15"]
    assert check(*flags) == 0
    assert metrics()["mean"]["psnr_y"] == pytest.approx(27.520, abs=0.002)
    assert metrics()["mean"]["ssim_y"] == pytest.approx(0.78636, abs=0.0001)


def test_a_perfect_result_is_null_in_the_metrics(trained: str):
    Image.new("RGB", (40, 40)).save("black.png")
    assert check(trained, "--test_data=black.png") == 0
    assert metrics()["mean"]["bicubic_psnr_y"] is None


def test_a_run_is_resumed_without_winograd_where_that_cannot_be_used():
    assert train("run", "--steps=4", "--save_every=2") == 0
    path = Path("run/checkpoint-0000004.pt")
    for verdict in ({"winograd": True}, {}):  # from a processor without bfloat16; from an older version
        state = {key: value for key, value in load_checkpoint(path).items() if key != "winograd"} | verdict
        solver = Solver(TrainConfig(precision="bf16", device="cpu", batch_size=2, patch_size=8))
        solver.load(state)
        solver.begin(*open_training_data(Path("pictures")).split(), state)
        assert not solver.network.winograd
