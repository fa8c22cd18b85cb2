"""LR pictures whose kernel or noise level is estimated. `Estimator` stands in for the estimates themselves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from estimated_restoring import CLEAN, NOISY, auto, rows, use_small_package
from picture_files import open_picture
from small_restoring import BASE, Estimator, marked, metrics, picture, write_network
from srmd.cli.requests import parse
from srmd.evaluate import networks, restoring
from srmd.evaluate.run import evaluate
from srmd.kernel.families import gaussian
from srmd.restore.restorer import load


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use_small_package(tmp_path, monkeypatch)


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
    assert "in/flat.png: blur can't be estimated, no blur is assumed, noise 0" in lines
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--downsampler=direct"],
            "--kernel: auto works for the bicubic downsampler only: expected a kernel, found auto",
        ),
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
