"""LR pictures whose kernel or noise level is estimated. `Estimator` stands in for the estimates themselves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import open_picture
from small_restoring import BASE, Estimator, contents, marked, metrics, picture, write_network
from srmd.cli import main
from srmd.cli.requests import parse
from srmd.estimator import Estimator as EstimatorNetwork
from srmd.estimator import EstimatorConfig
from srmd.evaluate import networks, restoring
from srmd.evaluate.run import evaluate
from srmd.kernel.families import gaussian
from srmd.kernel.files import read_kernels
from srmd.restore.restorer import load
from srmd.weights.estimators import EstimatorWeights, write_estimator

NOISY = "shipped/weights/srmd_x2.safetensors"
CLEAN = "shipped/weights/srmdnf_x2.safetensors"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a folder with a package whose networks are small."""
    monkeypatch.chdir(tmp_path)
    for scale in (2, 3):
        Path("shipped/weights").mkdir(parents=True, exist_ok=True)
        write_network(f"shipped/weights/srmd_x{scale}.safetensors", scale, conditions=("kernel", "noise"))
        write_network(f"shipped/weights/srmdnf_x{scale}.safetensors", scale, seed=1)
    write_estimators()
    monkeypatch.setattr("srmd.base.paths.CHECKOUT", tmp_path / "shipped")
    monkeypatch.setattr("srmd.evaluate.assumption.BlindEstimator", Estimator)
    monkeypatch.setattr(Estimator, "calls", [])


def write_estimators(hidden: int = 4) -> None:
    for scale in (2, 3):
        network = EstimatorNetwork(EstimatorConfig(scale, hidden))
        write_estimator(Path(f"shipped/weights/estimate_x{scale}.safetensors"), EstimatorWeights(network))


def auto(*flags: str) -> int:
    return main.main(["--mode=test", *BASE, *flags])


def rows() -> dict[str, dict]:
    return {row["name"]: row for row in metrics()["images"]}


def told(name: str, *flags: str) -> np.ndarray:
    """The result of a picture in `in` when the network is told the values of flags."""
    assert auto("--input", f"in/{name}.png", "--output=told", "--overwrite", *flags) == 0
    return np.asarray(open_picture(f"told/{name}.png"))


@pytest.mark.parametrize(("noisy_window", "clean_window"), [(15, 21), (21, 15), (21, 21)])
def test_each_network_is_told_a_given_gaussian_in_its_own_window(noisy_window: int, clean_window: int):
    write_network(NOISY, conditions=("kernel", "noise"), kernel_size=noisy_window)
    write_network(CLEAN, seed=1, kernel_size=clean_window)
    marked("in/clean.png", 0, 0)
    marked("in/noisy.png", 0, 6)
    assert auto("--input", "in", "--kernel=gaussian:3.6") == 0
    for name, weights, noise_level in (("clean", CLEAN, 0), ("noisy", NOISY, 6)):
        expected = load(weights, "cpu", "fp32", "torch").restore(
            open_picture(f"in/{name}.png"), "gaussian:3.6", noise_level
        )
        assert np.array_equal(np.asarray(open_picture(f"out/{name}.png")), np.asarray(expected))


def test_what_is_not_given_is_estimated_and_each_picture_gets_its_network(capsys: pytest.CaptureFixture):
    marked("in/clean.png", 1.4, 0)
    marked("in/noisy.png", 0, 6)
    marked("in/flat.png", 0, 0, blue=1)
    assert auto("--input", "in") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "in/clean.png: kernel gaussian:1.4 (sure), noise 0" in lines
    assert "in/noisy.png: kernel delta (sure), noise 6" in lines
    assert "in/flat.png: tells too little about its blur: assumed no blur, noise 0" in lines
    assert sum(line.startswith("assumed: ") for line in lines) == 1
    assert "assumed: kernel and noise level estimated from each LR picture" in lines
    assert sum(" x2 from " in line for line in lines) == 2
    assert rows()["clean"]["estimated"] == {
        "kernel": "gaussian:1.4",
        "confidence": 0.9,
        "sure": True,
        "noise_level": 0.0,
    }
    assert rows()["noisy"]["estimated"]["noise_level"] == 6
    assert rows()["flat"]["estimated"]["sure"] is False
    networks = {name: Path(row["weights"]).stem for name, row in rows().items()}
    assert networks == {"clean": "srmdnf_x2", "flat": "srmdnf_x2", "noisy": "srmd_x2"}
    assert metrics()["assumed"] == {"kernel": "auto", "noise_level": "auto"}
    assert Path(metrics()["weights"]).stem == "srmd_x2"
    assert Path(metrics()["noise_free_weights"]).stem == "srmdnf_x2"


def test_the_result_is_that_of_the_network_told_the_estimate():
    marked("in/clean.png", 1.4, 0)
    marked("in/noisy.png", 0.8, 6)
    assert auto("--input", "in") == 0
    clean, noisy = (np.asarray(open_picture(f"out/{name}.png")) for name in ("clean", "noisy"))
    assert np.array_equal(clean, told("clean", "--kernel=gaussian:1.4", "--noise_level=0"))
    assert np.array_equal(noisy, told("noisy", "--kernel=gaussian:0.8", "--noise_level=6"))
    assert not np.array_equal(noisy, told("noisy", "--kernel=delta", "--noise_level=6"))
    assert not np.array_equal(noisy, told("noisy", "--kernel=gaussian:0.8", "--noise_level=30"))


def test_what_is_known_is_used(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", "--kernel=gaussian:2") == 0
    ((_, kernel, noise_level),) = Estimator.calls
    assert np.allclose(kernel, gaussian(2))
    assert noise_level is None
    assert "in/a.png: noise 6\n" in capsys.readouterr().out
    assert rows()["a"]["estimated"] == {"noise_level": 6}
    assert auto("--input", "in", "--noise_level=9", "--overwrite") == 0
    assert Estimator.calls[1][1:] == (None, 9)
    assert "in/a.png: kernel gaussian:1.4 (sure)\n" in capsys.readouterr().out
    assert "noise_level" not in rows()["a"]["estimated"]
    assert Path(metrics()["weights"]).stem == "srmd_x2"
    assert "noise_free_weights" not in metrics()
    assert auto("--input", "in", "--noise_level=0", "--overwrite") == 0
    assert Estimator.calls[2][1:] == (None, 0)
    assert Path(metrics()["weights"]).stem == "srmdnf_x2"


def test_maps_are_known_values():
    marked("in/a.png", 1.4, 6)
    np.save("noise.npy", np.full((16, 20), 8.0))
    Image.fromarray(np.eye(16, 20, dtype=np.uint8)).save("labels.png")
    assert auto("--input", "in", "--noise_map=noise.npy") == 0
    assert Estimator.calls[0][1:] == (None, 8)
    regions = ["--kernel=delta", "--kernel=gaussian:2", "--regions=labels.png"]
    assert auto("--input", "in", "--overwrite", *regions) == 0
    assert Estimator.calls[1][1:] == (None, None)
    assert rows()["a"]["estimated"] == {"noise_level": 6}


def test_a_given_srmdnf_is_told_no_noise_level_and_noise_is_warned_of_once(capsys: pytest.CaptureFixture):
    for name in "ab":
        marked(f"in/{name}.png", 1.4, 6)
    for flags in ([], ["--noise_level=auto", "--overwrite"]):
        assert auto("--input", "in", f"--weights={CLEAN}", *flags) == 0
        output = capsys.readouterr().out
        assert "assumed: kernel estimated from each LR picture, no noise level\n" in output
        assert "in/a.png: kernel gaussian:1.4 (sure)\n" in output
        assert output.count("warning") == 1
        assert "warning: in/a.png: noise 6 is estimated, but this network takes no noise level\n" in output
        assert rows()["b"]["estimated"].keys() == {"kernel", "confidence", "sure"}
    assert {call[2] for call in Estimator.calls} == {None}  # the pictures are not known to have no noise
    Estimator.calls.clear()
    assert auto("--input", "in", f"--weights={CLEAN}", "--kernel=delta", "--overwrite") == 0
    assert not Estimator.calls  # nothing is left to estimate
    assert "estimated" not in rows()["a"]


def test_a_given_srmd_restores_pictures_with_and_without_noise():
    marked("in/a.png", 1.4, 0)
    assert auto("--input", "in", f"--weights={NOISY}") == 0
    assert rows()["a"]["weights"] == NOISY
    assert "noise_free_weights" not in metrics()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "I;16"])
def test_the_estimate_is_made_on_what_the_picture_shows(mode: str):
    Path("in").mkdir()
    rng = np.random.default_rng(0)
    if mode == "I;16":
        Image.fromarray(rng.integers(0, 65536, (16, 20), np.uint16)).save("in/a.png")
    else:
        picture("in/a.png", mode="RGB")
        image = open_picture("in/a.png").convert(mode)
        if mode in ("RGBA", "LA"):
            alpha = np.full((16, 20), 255, np.uint8)
            alpha[:, :10] = 0
            image.putalpha(Image.fromarray(alpha))
        image.save("in/a.png")
    assert auto("--input", "in") == 0
    assert open_picture("out/a.png").mode == mode
    ((pixels, _, _),) = Estimator.calls
    assert pixels.shape == (16, 20, 3)
    assert pixels.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    if mode in ("RGBA", "LA"):  # the hidden half has the colours of the nearest visible pixels
        assert (pixels[:, :10] == pixels[:, 10:11]).all()


def test_existing_results_are_skipped_without_an_estimate(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    before = contents()
    Estimator.calls.clear()
    marked("in/b.png", 1.4, 0)
    assert auto("--input", "in", "--dry_run") == 0
    assert "this would restore 1, skip 1 and leave out 0\n" in capsys.readouterr().out
    assert not Estimator.calls
    assert auto("--input", "in") == 0
    assert metrics()["summary"] == {"restored": 1, "skipped": 1, "left_out": 0}
    assert len(Estimator.calls) == 1
    assert {name: contents()[name] for name in before} == before
    assert rows()["a"]["estimated"]["noise_level"] == 6  # of the earlier run


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (["--kernel=gaussian:1.4"], "assumed"),
        (["--noise_level=6"], "weights, noise_level"),
        ([f"--weights={NOISY}"], "weights"),
    ],
)
def test_auto_and_given_values_are_other_settings(flags: list[str], difference: str, capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    assert auto("--input", "in", *flags) == 2
    assert f"out/a.png exists and was made with other settings: {difference};" in capsys.readouterr().err


def test_the_weights_of_the_estimator_are_part_of_the_settings(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    write_estimators(hidden=8)
    assert auto("--input", "in") == 2
    assert "out/a.png exists and was made with other settings: estimator;" in capsys.readouterr().err
    assert auto("--input", "in", "--overwrite") == 0
    assert auto("--input", "in") == 0


def test_a_noise_level_that_is_known_to_be_0_and_one_that_srmdnf_ignores_are_other_settings(
    capsys: pytest.CaptureFixture,
):
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", f"--weights={CLEAN}") == 0
    assert auto("--input", "in", f"--weights={CLEAN}", "--noise_level=0") == 2
    assert "other settings: noise_level;" in capsys.readouterr().err


def test_pictures_that_need_several_scales_have_two_networks_each(monkeypatch: pytest.MonkeyPatch):
    opened, read = [], []
    open_restorer, read_picture = networks.open_restorer, restoring.read_picture
    monkeypatch.setattr(
        networks, "open_restorer", lambda weights, *rest: opened.append(weights) or open_restorer(weights, *rest)
    )
    monkeypatch.setattr(restoring, "read_picture", lambda path, *rest: read.append(path) or read_picture(path, *rest))
    for number, noise_level in enumerate((0, 6, 0, 6)):
        marked(f"in/small{number}.png", 1.4, noise_level, (14, 12))
        marked(f"in/large{number}.png", 1.4, noise_level, (20, 16))
    assert auto("--input", "in", "--size=40x32") == 0
    assert {name: Path(row["weights"]).stem for name, row in rows().items()} == {
        f"{kind}{number}": f"{network}_x{scale}"
        for kind, scale in (("small", 3), ("large", 2))
        for number, network in enumerate(("srmdnf", "srmd", "srmdnf", "srmd"))
    }
    assert len(opened) == 4
    assert sorted(read) == sorted(Path("in").iterdir())  # each once
    assert auto("--input", "in/small1.png", "--outscale=2.5", "--output=out2") == 0
    assert open_picture("out2/small1.png").size == (35, 30)


def test_a_self_ensemble_is_told_the_estimate():
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", "--self_ensemble") == 0
    expected = told("a", "--kernel=gaussian:1.4", "--noise_level=6", "--self_ensemble")
    assert np.array_equal(np.asarray(open_picture("out/a.png")), expected)


def test_the_kernel_of_one_picture_is_saved_as_a_file_or_in_a_folder():
    marked("in/a.png", 1.4, 6)
    for path in ("k.mat", "kernels", "drawn/k.png"):
        assert auto("--input", "in", "--overwrite", f"--save_kernel={path}") == 0
    for path in ("k.mat", "kernels/a.mat"):
        (kernel,) = read_kernels(Path(path))
        np.testing.assert_allclose(kernel, gaussian(1.4), atol=1e-12)
    assert open_picture("drawn/k.png").size[0] >= 240


def test_the_kernels_of_skipped_pictures_are_saved_too(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    marked("in/b.png", 0, 0)
    assert auto("--input", "in") == 0
    assert auto("--input", "in", "--save_kernel=again") == 0
    assert "skipped 2" in capsys.readouterr().out
    assert auto("--input", "in", "--overwrite", "--save_kernel=made") == 0
    for name in "ab":
        again, made = (read_kernels(Path(f"{folder}/{name}.mat"))[0] for folder in ("again", "made"))
        np.testing.assert_array_equal(again, made)


def test_the_kernels_of_several_pictures_are_saved_in_a_folder(capsys: pytest.CaptureFixture):
    marked("in/a.png", 1.4, 6)
    marked("in/sub/a.png", 0.8, 0)
    marked("in/b.png", 2, 0)
    marked("in/b.bmp", 2.1, 0)
    flags = ["--input", "in", "--recursive", "--format=keep"]
    assert auto(*flags, "--save_kernel=k.mat") == 2
    assert capsys.readouterr().err.startswith("--save_kernel: expected a folder for the kernels of 4 pictures, found")
    assert not Path("out").exists()
    assert auto(*flags, "--save_kernel=kernels") == 0
    widths = {"a": 1.4, "sub/a": 0.8, "b.png": 2, "b.bmp": 2.1}
    saved = {path.relative_to("kernels").as_posix() for path in Path("kernels").rglob("*.mat")}
    assert saved == {f"{name}.mat" for name in widths}
    for name, width in widths.items():
        np.testing.assert_allclose(read_kernels(Path(f"kernels/{name}.mat"))[0], gaussian(width), atol=1e-12)


def test_a_saved_kernel_does_not_overwrite_an_input(capsys: pytest.CaptureFixture):
    marked("in/srmd_x2.png", 1.4, 0)
    Path("shipped/weights/srmd_x2.mat").write_bytes(Path(NOISY).read_bytes())
    flags = ["--input", "in", "--weights=shipped/weights/srmd_x2.mat", "--save_kernel=shipped/weights"]
    assert auto(*flags) == 2
    assert "--save_kernel: shipped/weights/srmd_x2.mat would overwrite an input" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--downsampler=direct"], "--kernel: expected a kernel with the direct downsampler, because auto knows only"),
        (["--weights=x5.safetensors"], "--noise_level: expected a scale that has an estimator (2, 3), found 5"),
        (["--weights=x5.safetensors", "--noise_level=0"], "--kernel: expected a scale that has an estimator"),
    ],
)
def test_what_cannot_be_estimated_is_refused(flags: list[str], message: str, capsys: pytest.CaptureFixture):
    write_network("x5.safetensors", 5, conditions=("kernel", "noise"))
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", *flags) == 2
    assert capsys.readouterr().err.startswith(message)
    assert auto("--input", "in", *flags, "--kernel=delta", "--noise_level=0") == 0


def test_the_noise_level_is_estimated_with_the_direct_downsampler_too():
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in", "--downsampler=direct", "--kernel=gaussian:2") == 0
    assert rows()["a"]["estimated"] == {"noise_level": 6}


def test_the_progress_ends_at_the_pixels_of_all_pictures():
    marked("in/a.png", 1.4, 6)
    marked("in/b.png", 1.4, 0, (30, 20))
    steps: list[tuple[int, int]] = []
    request = parse(["--mode=test", *BASE, "--input", "in"])
    evaluate(request, lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (20 * 16 + 30 * 20,) * 2


def test_the_dashboard_shows_the_estimated_kernel_of_each_picture(monkeypatch: pytest.MonkeyPatch):
    shown = []
    monkeypatch.setattr("srmd.show.dashboard.Dashboard.image", lambda _, *arguments: shown.append(arguments))
    marked("in/a.png", 1.4, 6)
    assert auto("--input", "in") == 0
    ((window, kernel, caption),) = shown
    assert (window, caption) == ("kernel", "estimated kernel of in/a.png: gaussian:1.4")
    assert kernel.shape == (120, 120, 3)
