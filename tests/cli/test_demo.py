"""The demo of `make demo`."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picture_files import open_picture
from srmd.cli import demo, demo_page
from srmd.cli.demo_steps import COMPRESSED, JPEG_GAIN, NOISY, Budget, Demo
from srmd.cli.requests import parse
from srmd.config import AUTO, OFF
from srmd.pictures.photos import builtin_test_pictures
from srmd.show import visdom_server

TINY = Budget(steps=2, batch_size=2, patch_size=8, min_gain=-100.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs the demo in an empty folder, on parts of the photos and without a dashboard."""
    monkeypatch.chdir(tmp_path)
    photos = {name: np.ascontiguousarray(pixels[:160, :260]) for name, pixels in builtin_test_pictures().items()}
    monkeypatch.setattr(demo_page, "builtin_test_pictures", lambda: photos)
    monkeypatch.setattr(visdom_server, "start", lambda port: None)
    monkeypatch.setattr(visdom_server, "is_installed", lambda: False)
    monkeypatch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_commands_do_what_their_lines_say():
    plan = Demo(Path("results/d"), Path("runs/d"), replace(TINY, steps=7))
    demo_page.write_photos(plan)
    plan.run.mkdir(parents=True)
    (plan.run / "last.safetensors").write_bytes(b"")
    requests = [[parse([*flags]) for flags in step.commands] for step in plan.steps()]
    (blind,), (told,), (untold_jpeg, jpeg), (training, test) = requests
    assert (blind.kernel, blind.noise_level, blind.jpeg, blind.input) == (AUTO, AUTO, AUTO, [plan.lr(NOISY)])
    assert (told.kernel[0].spec, told.noise_level, told.input) == (NOISY.kernel, NOISY.noise_level, blind.input)
    assert (untold_jpeg.jpeg, untold_jpeg.kernel, untold_jpeg.input) == (OFF, AUTO, [plan.lr(COMPRESSED)])
    assert replace(jpeg, jpeg=OFF, output=untold_jpeg.output, command="") == replace(
        untold_jpeg, jpeg_weights=jpeg.jpeg_weights, command=""
    )
    assert (training.steps, training.scale_factor, test.weights) == (7, 2, training.output / "last.safetensors")
    assert open_picture(plan.lr(COMPRESSED)).quantization
    assert plan.steps()[0].lines() == (f"python main.py {plan.lr(NOISY)} --output=results/d/auto",)


def test_gains_that_are_too_low_are_named(capsys: pytest.CaptureFixture):
    gains = {"photo": 1.0, JPEG_GAIN: 0.2, "new network": 3.2}
    assert not demo._is_below(gains, Budget())
    assert demo._is_below(gains | {"photo": 0.99, JPEG_GAIN: 0.19}, Budget())
    assert capsys.readouterr().err.splitlines() == [
        "photo: expected at least +1 dB, found +0.99 dB",
        f"{JPEG_GAIN}: expected at least +0.2 dB, found +0.19 dB",
    ]


def own_psnr(path: Path, hr: Path) -> float:
    """PSNR of luma of two picture files, without the 2 outermost pixels."""
    weights = np.array([65.481, 128.553, 24.966])
    a, b = (np.asarray(open_picture(each), np.float64)[2:-2, 2:-2] / 255 @ weights for each in (path, hr))
    return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


def tables(page: str) -> list[dict[str, list[str]]]:
    """The tables of a page: for each row its first cell and the texts of the others."""
    found = []
    for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL):
        rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
        found.append({name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in rows})
    return found


@pytest.mark.slow
def test_the_page_has_the_figures_of_the_runs(folder: Path, capsys: pytest.CaptureFixture):
    assert demo.run_demo(TINY) == 0
    output = capsys.readouterr()
    assert [line[:4] for line in output.out.splitlines() if re.match(r"\d/\d ", line)] == [
        "1/4 ",
        "2/4 ",
        "3/4 ",
        "4/4 ",
    ]
    assert "\r" not in output.out + output.err
    (results,) = Path("results").iterdir()
    assert f"{results}/index.html" in output.out
    page = (results / "index.html").read_text(encoding="utf-8")
    found, blind, told, found_jpeg, jpeg, trained = tables(page)
    for table, label, name, photo in (
        (blind, demo_page.AUTO, "auto", NOISY),
        (told, demo_page.TOLD, "told", NOISY),
        (jpeg, demo_page.UNTOLD_JPEG, "jpeg_off", COMPRESSED),
        (jpeg, demo_page.TOLD_JPEG, "jpeg", COMPRESSED),
    ):
        expected = own_psnr(results / name / f"{photo.name}.png", results / "hr" / f"{photo.name}.png")
        assert float(table[label][0]) == pytest.approx(expected, abs=0.006)
    for table, name in ((found, "auto"), (found_jpeg, "jpeg")):
        row = json.loads((results / name / "metrics.json").read_text())["images"][0]
        assert table["kernel"][1].startswith(f"{row['estimated']['kernel']} (")
        assert float(table["noise level"][1]) == pytest.approx(row["estimated"]["noise_level"], abs=0.06)
    assert (found["JPEG"], found_jpeg["JPEG"]) == (["no", "no"], ["quality 50", "quality ≈ 50, 4:2:0"])
    metrics = json.loads((results / "trained" / "metrics.json").read_text())
    for row in [*metrics["images"], metrics["mean"] | {"name": "mean"}]:
        expected = [row["bicubic_psnr_y"], row["psnr_y"], row["psnr_y"] - row["bicubic_psnr_y"]]
        np.testing.assert_allclose([float(text) for text in trained[row["name"]]], expected, atol=0.006)
    assert page.count("<img ") == 3 + 4 + 4 + 3
    assert "<svg" in page
    assert len(page) < 4_000_000


def test_a_folder_that_cannot_be_made_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo.main, "end_on_signals", lambda: None)
    (folder / "results").write_bytes(b"")
    assert demo.command() == 2
    assert "found a file at results" in capsys.readouterr().err
