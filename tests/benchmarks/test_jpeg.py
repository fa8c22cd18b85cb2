"""Scores of networks that are told of JPEG: measured with small networks, stored, continued and reported."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import jpeg, jpeg_report, jpeg_scores
from benchmarks.jpeg_cells import ERRORS, KERNELS, QUALITIES, Cell, told
from benchmarks.jpeg_scores import SCORES, Key, Score, Scores, add_score, read_scores
from benchmarks.plans import ROOT
from picture_files import open_picture
from small_restoring import write_network
from srmd.degradation import degrade_picture
from srmd.pictures.metrics import score
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.restorer import Restorer

FILE, DATA = Path("scores.csv"), Path("Tiny")
PHOTO = next(iter(builtin_test_pictures().values()))[40:88, 40:104]
KEY = Key("srmdj_x2", "Tiny", "delta", 50, "told")
CELL = Cell("Tiny", "delta", 50, [], 2)
COMPLETE = {"told", "untold", "told -20", "told +20", "bicubic"}


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Small networks under the names of the shipped ones, and a picture; one kernel and quality are measured."""
    monkeypatch.chdir(tmp_path)
    DATA.mkdir()
    Image.fromarray(PHOTO).save(DATA / "a.png")
    write_network("srmd_x2.safetensors", conditions=("kernel", "noise"))
    write_network("srmdj_x2.safetensors", conditions=("kernel", "noise", "jpeg"))
    jpeg_scores.digest.cache_clear()
    for module in (jpeg, jpeg_scores):
        monkeypatch.setattr(module, "shipped", lambda name: Path(f"{name}.safetensors"))
    monkeypatch.setattr(jpeg, "KERNELS", ("delta",))
    monkeypatch.setattr(jpeg, "QUALITIES", (50,))


def run(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    arguments = ["jpeg", "srmdj_x2.safetensors", "Tiny", "--scores=scores.csv", *flags]
    monkeypatch.setattr(sys, "argv", arguments)
    jpeg.main()


def stored() -> dict[str, float]:
    return {key.column: found.psnr for key, found in read_scores(FILE).items()}


@pytest.mark.usefixtures("network")
def test_each_column_is_what_the_networks_make_of_what_it_says(monkeypatch: pytest.MonkeyPatch):
    told_by_column, restore = {}, Restorer.restore

    def record(self: Restorer, lr: NDArray, kernel: str, noise_level: float, jpeg: int | None = None) -> NDArray:
        np.testing.assert_array_equal(lr, degrade_picture(PHOTO, "delta", scale=2, jpeg=50))
        told_by_column[column] = ("jpeg" in self.config.conditions, kernel, noise_level, jpeg)
        return restore(self, lr, kernel, noise_level, jpeg=jpeg)

    monkeypatch.setattr(Restorer, "restore", record)
    benchmark = jpeg.Benchmark(Path("srmdj_x2.safetensors"), FILE)
    for cell in benchmark._cells(DATA):
        for column in ("told", "untold", "told -20", "told +30", "noise 10", "bicubic"):
            benchmark.psnr(cell, column)
    assert told_by_column == {
        "told": (True, "delta", 0, 50),
        "untold": (True, "delta", 0, None),
        "told -20": (True, "delta", 0, 30),
        "told +30": (True, "delta", 0, 80),
        "noise 10": (False, "delta", 10, None),
    }
    sr = benchmark.srmd.restore(cell.lr[0], "delta", 10)
    assert stored()["noise 10"] == round(score(sr / 255, PHOTO / 255, 2)["psnr_y"], 2)


@pytest.mark.usefixtures("network")
def test_a_stopped_run_goes_on_and_a_complete_one_measures_nothing(monkeypatch: pytest.MonkeyPatch):
    restored, restore = [], jpeg.Benchmark._restore

    def stop(self: jpeg.Benchmark, lr: object, cell: Cell, column: str):
        restored.append(column)
        if column == "told +20" and restored.count(column) == 1:
            raise KeyboardInterrupt
        return restore(self, lr, cell, column)

    monkeypatch.setattr(jpeg.Benchmark, "_restore", stop)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch)
    assert "told -20" in stored()
    assert "bicubic" not in stored()
    for _ in range(2):
        run(monkeypatch)
    assert stored().keys() >= COMPLETE
    assert restored.count("told +20") == 2
    assert len(restored) == len(set(restored)) + 1


@pytest.mark.usefixtures("network")
def test_figures_of_other_weights_are_measured_again(monkeypatch: pytest.MonkeyPatch):
    run(monkeypatch)
    before = read_scores(FILE)
    write_network("srmdj_x2.safetensors", seed=1, conditions=("kernel", "noise", "jpeg"))
    jpeg_scores.digest.cache_clear()
    assert jpeg_scores.outdated_networks(before) == ["srmdj_x2"]
    run(monkeypatch)
    after = read_scores(FILE)
    assert list(after) == list(before)
    changed = {key.column for key in after if after[key].weights != before[key].weights}
    assert changed == COMPLETE - {"bicubic"}
    assert jpeg_scores.outdated_networks(after) == []


@pytest.mark.parametrize(
    ("best", "measured"), [(10, {5, 10, 15}), (0, {0, 5, 10, 15}), (5, {0, 5, 10, 15}), (20, {5, 10, 15, 20, 30})]
)
@pytest.mark.usefixtures("network")
def test_noise_levels_are_tried_as_long_as_psnr_rises(monkeypatch: pytest.MonkeyPatch, best: int, measured: set[int]):
    tried = set()

    def psnr(_: object, __: object, column: str) -> float:
        tried.add(level := int(column.removeprefix("noise ")))
        return -abs(level - best)

    monkeypatch.setattr(jpeg.Benchmark, "psnr", psnr)
    jpeg.Benchmark(Path("srmdj_x2.safetensors"), FILE)._measure_best_noise_level(CELL)
    assert tried == measured


@pytest.mark.usefixtures("network")
def test_a_noise_level_that_is_no_longer_tried_loses_the_figure_of_older_weights(monkeypatch: pytest.MonkeyPatch):
    run(monkeypatch)
    tried = {column for column in stored() if column.startswith("noise")}
    other_data, untried = KEY._replace(data="Other", column="noise 10"), KEY._replace(column="noise 0.5")
    old = Score(99.0, "older")
    monkeypatch.setattr(jpeg, "NOISE_LEVELS", (*jpeg.NOISE_LEVELS, 0.5))
    for key in (other_data, untried):
        add_score(FILE, key, old)
    run(monkeypatch)
    after = read_scores(FILE)
    assert {column for column in stored() if column.startswith("noise")} == tried
    assert untried not in after
    assert after[other_data] == old


def test_a_grey_jpeg_is_scored_as_pillow_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("srmd_x1.safetensors", scale=1, conditions=("kernel", "noise"))
    write_network("srmdj_x1.safetensors", scale=1, conditions=("kernel", "noise", "jpeg"))
    monkeypatch.setattr(jpeg, "shipped", lambda name: Path(f"{name}.safetensors"))
    DATA.mkdir()
    Image.fromarray(PHOTO).convert("L").save(DATA / "a.png")
    open_picture(DATA / "a.png").save("a.jpg", quality=10)
    benchmark = jpeg.Benchmark(Path("srmdj_x1.safetensors"), FILE, is_grey=True)
    cell = benchmark._cells(DATA)[0]
    error = np.asarray(open_picture("a.jpg"), float) - np.asarray(open_picture(DATA / "a.png"))
    assert (cell.kernel, cell.quality) == ("delta", 10)
    assert benchmark.psnr(cell, "bicubic") == round(10 * math.log10(255**2 / np.square(error).mean()), 2)


def test_figures_are_kept_in_place_with_two_decimals(tmp_path: Path):
    file = tmp_path / "scores.csv"
    other = KEY._replace(column="untold")
    for key, value in ((KEY, 1.0), (other, 2.346), (KEY, 3.0)):
        add_score(file, key, Score(value, "abc"))
    assert list(read_scores(file).items()) == [(KEY, Score(3.0, "abc")), (other, Score(2.35, "abc"))]
    assert file.read_text().splitlines()[-2:] == [
        "srmdj_x2;Tiny;delta;50;told;3.00;abc",
        "srmdj_x2;Tiny;delta;50;untold;2.35;abc",
    ]


WRITER = """
import sys
from pathlib import Path
from benchmarks.jpeg_scores import Key, Score, add_score, drop_outdated
file, data = Path("scores.csv"), sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
for quality in range(1, 41):
    key = Key("srmdj_x2", data, "delta", quality, "told")
    add_score(file, key, Score(30, "new" if quality % 4 else "old"))
    drop_outdated(file, [key], "new")
"""


@pytest.mark.slow
def test_two_processes_that_write_at_once_lose_no_figure(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, data], cwd=tmp_path, env=environment, **pipes)
        for data in ("Set5", "Set14")
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [(writer.communicate(timeout=600), writer.returncode) for writer in writers] == [(("", None), 0)] * 2
    expected = {(data, quality) for data in ("Set5", "Set14") for quality in range(1, 41) if quality % 4}
    assert {(key.data, key.quality) for key in read_scores(tmp_path / "scores.csv")} == expected


def made_up(network: str = "srmdj_x2", data: str = "Set5") -> Scores:
    """Scores of all columns: told the truth is best, too low a quality costs 1 dB, too high 2 dB per 10."""
    columns = {"told": 30.0, "bicubic": 25.0, "untold": 26.0, "noise 5": 27.0, "noise 10": 29.0, "noise 15": 28.0}
    columns |= {told(error): 30 - (2 * error if error > 0 else -error) / 10 for error in ERRORS}
    return {
        Key(network, data, kernel, quality, column): Score(psnr, "abc")
        for kernel in KERNELS
        for quality in QUALITIES
        for column, psnr in columns.items()
    }


def test_a_table_has_the_best_noise_level_and_is_left_out_if_a_figure_is_missing():
    scores = made_up()
    lines = jpeg_report.table(scores, "srmdj_x2", "Set5").splitlines()
    assert len(lines) == 2 + len(KERNELS) * len(QUALITIES)
    assert lines[3] == "| delta | 50 | 25.00 | 30.00 | 26.00 | 28.00 | 26.00 | 29.00 (10) |"
    del scores[Key("srmdj_x2", "Set5", "gaussian:1.3", 90, "bicubic")]
    assert jpeg_report.table(scores, "srmdj_x2", "Set5") is None


def test_losses_are_drawn_over_the_difference_that_was_told():
    scores = made_up()
    assert jpeg_report.losses(scores, "delta", 50) == pytest.approx({-30: 3, -20: 2, -10: 1, 0: 0, 10: 2, 20: 4, 30: 6})
    assert list(jpeg_report.losses(scores, "delta", 30)) == [-29, -20, -10, 0, 10, 20, 30]
    assert list(jpeg_report.losses(scores, "delta", 90)) == [-30, -20, -10, 0, 10]
    del scores[Key("srmdj_x2", "Set5", "delta", 50, "told -10")]
    assert jpeg_report.losses(scores, "delta", 50) is None


def test_the_report_writes_complete_tables_and_the_plot_and_names_outdated_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    page, plot = tmp_path / "jpeg.md", tmp_path / "plot.png"
    page.write_text("# JPEG\n\n<!-- srmdj_x2 Set5 -->\n\nold\n\n<!-- end of srmdj_x2 Set5 -->\n\nafter\n")
    monkeypatch.setattr(jpeg_report, "PAGE", page)
    monkeypatch.setattr(jpeg_report, "PLOT", plot)
    scores = made_up() | {KEY: Score(1.0, "abc")} | made_up(data="New")
    jpeg_report.write_report(scores)
    table = jpeg_report.table(scores, "srmdj_x2", "Set5")
    marks = ("<!-- srmdj_x2 Set5 -->", "<!-- end of srmdj_x2 Set5 -->")
    assert page.read_text() == f"# JPEG\n\n{marks[0]}\n\n{table}\n\n{marks[1]}\n\nafter\n"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err.splitlines() == [
        "warning: the shipped srmd_x2, srmdj_x2 are not those that were scored; measure again",
        "srmdj_x2 on Tiny is left out: not all scores are there",
        "srmdj_x2 on New is left out: jpeg.md has no part of this name",
    ]


def test_the_tables_of_the_page_are_those_of_the_stored_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = tmp_path / "jpeg.md"
    copy.write_bytes(jpeg_report.PAGE.read_bytes())
    monkeypatch.setattr(jpeg_report, "PAGE", copy)
    monkeypatch.setattr(jpeg_report, "PLOT", tmp_path / "plot.png")
    jpeg_report.write_report(read_scores(SCORES))
    assert copy.read_text(encoding="utf-8") == (ROOT / "docs" / "jpeg.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["weights.safetensors"], ["weights.safetensors", "Set5", "--report"]])
def test_either_pictures_or_a_report_are_expected(monkeypatch: pytest.MonkeyPatch, arguments: list[str]):
    monkeypatch.setattr(sys, "argv", ["jpeg", *arguments])
    with pytest.raises(SystemExit):
        jpeg.main()


@pytest.mark.usefixtures("network")
def test_other_networks_do_not_get_into_the_file_of_the_shipped_ones(monkeypatch: pytest.MonkeyPatch):
    Path("runs").mkdir()
    write_network("runs/srmdj_x2.safetensors", conditions=("kernel", "noise", "jpeg"))
    monkeypatch.setattr(jpeg, "SCORES", FILE)
    monkeypatch.setattr(sys, "argv", ["jpeg", "runs/srmdj_x2.safetensors", "Tiny", f"--scores={FILE}"])
    with pytest.raises(SystemExit) as ended:
        jpeg.main()
    assert ended.value.code == 2
    assert not FILE.exists()


@pytest.mark.usefixtures("network")
def test_grey_and_colour_pictures_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--grey")
    Image.fromarray(PHOTO).convert("L").save(DATA / "a.png")
    with pytest.raises(SystemExit):
        run(monkeypatch)
    expected = ["expected grey pictures with --grey, found colours", "expected --grey for grey pictures, found them"]
    for line, text in zip(capsys.readouterr().err.splitlines(), expected, strict=True):
        assert line.startswith(f"Tiny: {text}")
