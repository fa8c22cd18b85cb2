"""The benchmark of blind restoring: cells, scores that are kept, tables."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from benchmarks import blind
from benchmarks.blind_cells import (
    GAUSSIAN8_RANGES,
    SCALES,
    TABLES,
    Cell,
    cells_of,
    degrade_cell,
    published_scores,
)
from benchmarks.blind_scores import AUTO, BICUBIC, NOISE_0, TRUTH, Pair, ScaleScorer, ScoreCache, columns_of
from benchmarks.blind_tables import (
    Score,
    cells_below_floor,
    count_pairs,
    dasr_table,
    gaussian8_table,
    report,
    summary,
    worst_pairs,
)
from srmd.base.errors import InputError
from srmd.degradation import imresize
from srmd.kernel.families import gaussian
from srmd.pictures.photos import builtin_test_pictures

SHARP, BLURRED = Cell("dasr", 2, "delta"), Cell("dasr", 2, "gaussian:1.2")
NOISY = Cell("noise", 2, "gaussian:1.2", 15)


def made_score(cell, picture, bicubic, truth, auto, noise_level=0.0, clipped=0.0, data="Set5"):
    """A score with invented figures; noise 0 is .1 dB better than auto."""
    psnr = {BICUBIC: bicubic, TRUTH: truth, AUTO: auto, NOISE_0: auto + 0.1}
    rows = [{"column": column, "psnr_y": psnr[column]} for column in columns_of(cell)]
    rows[1]["clipped"] = clipped
    for row in rows[2:]:
        row["estimate"] = {"kernel": "gaussian:1.3", "noise_level": noise_level}
    return Score(Pair(data, Path(picture), cell), rows)


def test_the_cells_of_gaussian8_are_eight_widths_in_equal_steps():
    for scale in SCALES:
        widths = [cell.width for cell in cells_of("gaussian8", scale)]
        assert (widths[0], widths[-1]) == GAUSSIAN8_RANGES[scale]
        assert np.diff(widths) == pytest.approx([np.diff(GAUSSIAN8_RANGES[scale])[0] / 7] * 7, abs=2e-4)


def test_every_published_row_of_dasr_belongs_to_a_cell():
    cells = {(cell.scale, cell.width) for scale in SCALES for cell in cells_of("dasr", scale)}
    assert {(scale, width) for table, scale, width, _ in published_scores() if table == "dasr"} < cells
    assert published_scores()["dasr", 2, 1.8, "Set14"] == {"srmdnf_ikc": 30.18, "dasr": 31.60}


def test_all_kernels_are_read():
    for scale in SCALES:
        for table in TABLES:
            for cell in cells_of(table, scale):
                kernel = cell.kernel_array()
                assert kernel.shape == (21, 21)
                assert kernel.sum() == pytest.approx(1)


def test_borders_are_reflected_and_the_kernel_is_wider_than_the_window_of_a_network():
    hr = builtin_test_pictures()["chelsea"][:48, :60] / 255
    kernel = gaussian(3.6, size=21)
    blurred = np.stack([scipy.ndimage.correlate(hr[..., c], kernel, mode="mirror") for c in range(3)])
    expected = imresize(torch.from_numpy(blurred)[None], 12, 15)[0].permute(1, 2, 0).numpy()
    lr = degrade_cell(torch.from_numpy(hr).permute(2, 0, 1)[None], Cell("dasr", 4, "gaussian:3.6"))
    assert lr.dtype == np.uint8
    np.testing.assert_allclose(lr / 255, expected, atol=0.501 / 255)


def test_noise_has_its_level_and_is_clipped():
    grey = degrade_cell(torch.full((1, 3, 128, 128), 0.5, dtype=torch.float64), NOISY)
    assert np.std(grey.astype(float)) == pytest.approx(15, rel=0.03)
    black = degrade_cell(torch.zeros(1, 3, 128, 128, dtype=torch.float64), NOISY)
    assert np.isin(black, 0).mean() == pytest.approx(0.5, abs=0.03)


def test_shares_cover_all_pairs_once():
    pairs = blind.all_pairs([("Set5", Path(name)) for name in "abc"], TABLES, SCALES)
    shares = [blind.share_of(pairs, f"{number}/4") for number in range(1, 5)]
    assert sorted(id(pair) for share in shares for pair in share) == sorted(map(id, pairs))


def row_of(pair, column, digest):
    names = "data", "picture", "scale", "kernel", "noise_level", "column"
    return dict(zip(names, pair.key(column), strict=True)) | {"digest": digest}


def test_scores_of_all_shares_are_read_and_those_of_other_weights_are_not(tmp_path):
    pair = Pair("Set5", Path("baby.png"), BLURRED)
    ScoreCache(tmp_path, "1/2").add(row_of(pair, AUTO, "old"))
    ScoreCache(tmp_path, "2/2").add(row_of(pair, TRUTH, "old"))
    with (tmp_path / "share-1-of-2.jsonl").open("a") as file:
        file.write('{"data": "Set5", "pict')  # a process that was killed
    cache = ScoreCache(tmp_path)
    assert cache.get(pair.key(TRUTH), "old")
    assert cache.get(pair.key(AUTO), "old")
    assert cache.get(pair.key(AUTO), "new") is None
    assert cache.get(pair.key(NOISE_0), "old") is None
    ScoreCache(tmp_path, "1/2").add(row_of(pair, NOISE_0, "old"))  # the share is continued
    assert ScoreCache(tmp_path).get(pair.key(NOISE_0), "old")


def test_the_digest_of_auto_depends_on_the_estimator_and_that_of_the_truth_does_not():
    digests = [ScaleScorer(scale).digest(column) for scale in (2, 3) for column in (BICUBIC, TRUTH, AUTO, NOISE_0)]
    assert digests[0] == digests[4]
    assert digests[2] == digests[3]
    assert len({*digests}) == 5


def test_losses_are_means_over_cells_and_the_worst_picture():
    scores = [
        made_score(SHARP, "a", bicubic=30, truth=36, auto=35),
        made_score(SHARP, "b", bicubic=30, truth=36, auto=29),
        made_score(BLURRED, "a", bicubic=30, truth=35, auto=35),
    ]
    figures = summary(scores)
    assert figures["dasr x2, auto: mean loss"] == pytest.approx((4 + 0) / 2)
    assert figures["dasr x2, auto: worst picture"] == 7
    assert figures["dasr x2, auto, noise given as 0: mean loss"] == pytest.approx(1.9)
    assert figures["sharp and clean, auto: mean loss"] == 4
    assert figures["pairs below bicubic, percent"] == pytest.approx(100 / 3)
    assert "| Set5/b | x2 | `delta`, noise 0 | `gaussian:1.3`, noise 0 | 7.00 |" in worst_pairs(scores, 1)


def test_noise_errors_are_divided_by_clipping():
    scores = [
        made_score(NOISY, "a", 25, 28, 28, noise_level=14),
        made_score(NOISY, "b", 25, 28, 28, noise_level=11, clipped=0.2),
    ]
    figures = summary(scores)
    assert figures["noise level, unclipped: mean error"] == 1
    assert figures["noise level, clipped: mean error"] == 4


def test_our_columns_stand_beside_the_published_ones():
    auto = {"a": 34, "b": 34.2, "c": 34.1, "d": 34.1, "e": 34.1}
    scores = [made_score(BLURRED, name, 30, 37, psnr) for name, psnr in auto.items()]
    assert dasr_table(scores).splitlines()[-1] == (
        "| x2, 1.2 | Set5 (5) | 30.00 | 37.00 | 34.10 | 34.20 | 34.13 | 37.19 | – | 2.90, 3.00 | 2.80, 2.90 |"
    )
    assert cells_below_floor(scores) == ["x2, width 1.2, Set5"]


def test_no_published_mean_stands_beside_a_part_of_its_pictures():
    scores = [made_score(BLURRED, name, 30, 37, 34) for name in "abcd"]
    assert dasr_table(scores).splitlines()[-1] == (
        "| x2, 1.2 | Set5 (4) | 30.00 | 37.00 | 34.00 | 34.10 | – | – | – | 3.00, 3.00 | 2.90, 2.90 |"
    )
    assert cells_below_floor(scores) == []


def test_no_published_mean_stands_beside_widths_with_different_pictures():
    cells = cells_of("gaussian8", 3)
    scores = [made_score(cell, name, 25, 30, 29) for cell in cells for name in "abcde"]
    assert "| x3, 1.35 to 2.4 | Set5 | 25.00 | 30.00 | 29.00 | 29.10 | – | 33.06 | 34.19 | – |" in gaussian8_table(
        scores
    )
    for part in (
        scores[:-5],
        scores[:-1],
        scores[::5] + scores[-5:],
    ):  # a width is missing; one, or most, are not whole
        last = gaussian8_table(part).splitlines()[-1]
        assert last == "| x3, 1.35 to 2.4 | Set5 | 25.00 | 30.00 | 29.00 | 29.10 | – | – | – | – |"


def test_a_pair_of_two_tables_counts_once():
    shared = [Cell(table, 3, "gaussian:2.4") for table in ("dasr", "gaussian8")]
    scores = [made_score(cell, "a", 25, 30, 24) for cell in shared]
    scores += [made_score(Cell("gaussian8", 3, "gaussian:2.25"), "a", 25, 30, 29)]
    assert count_pairs(score.pair for score in scores) == 2
    assert "2 of the 9 pairs" in report(scores, "command", 9)
    assert summary(scores)["pairs below bicubic, percent"] == 50
    assert [line.split(" | ")[-1] for line in worst_pairs(scores).splitlines()[2:]] == ["6.00 |", "1.00 |"]


def test_the_tables_have_degradations_in_common_at_x3_and_x4():
    pictures = [("Set5", Path(name)) for name in "abc"]
    pairs = {scale: blind.all_pairs(pictures, TABLES, [scale]) for scale in SCALES}
    assert [len(each) - count_pairs(each) for each in pairs.values()] == [0, 3, 3]


SOME = "2962 of the 10710 pairs of picture and degradation are measured.\n"
ALL = SOME.replace("2962", "10710")
FEW = "12 of the 12 pairs of picture and degradation are measured.\n"  # with --scales or --tables


@pytest.mark.parametrize(
    ("before", "after"),
    [(f"Old.\n\n{SOME}", f"New.\n{ALL}"), (f"Old.\n{SOME}", f"New.\n{SOME}"), (None, f"New.\n{SOME}")],
)
def test_a_page_is_replaced_by_tables_of_as_many_pairs(before, after, tmp_path):
    page = tmp_path / "blind_scores.md"
    if before:
        page.write_text(before)
    blind.write_page(after, page)
    assert page.read_text() == after


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (f"Old.\n{SOME}", f"New.\n{SOME.replace('2962', '2961')}", "found 2961$"),
        (f"Old.\n{SOME}", f"New.\n{FEW}", "found 12$"),
        (f"Old.\n{SOME}", "", "found none$"),
    ],
)
def test_a_page_that_reports_more_pairs_is_kept(before, after, message, tmp_path):
    page = tmp_path / "blind_scores.md"
    page.write_text(before)
    with pytest.raises(InputError, match=f"blind_scores.md: expected .* {message}"):
        blind.write_page(after, page)
    assert page.read_text() == before


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a small picture as Set5, and two as B100."""
    folder = tmp_path_factory.mktemp("data")
    for data, names in {"Set5": ("astronaut",), "B100": ("chelsea", "astronaut")}.items():
        (folder / data).mkdir()
        for name in names:
            Image.fromarray(builtin_test_pictures()[name][60:124, 110:174]).save(folder / data / f"{name}.png")
    return folder


def error_of(arguments, capsys):
    """The line on standard error of a command that is refused."""
    with pytest.raises(SystemExit) as ended:
        blind.main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_report_without_scores_does_not_empty_the_page(data, tmp_path, capsys):
    page = tmp_path / "blind_scores.md"
    page.write_text(SOME)
    error = error_of([str(data), f"--output={tmp_path / 'none'}", "--report", f"--page={page}"], capsys)
    assert "blind_scores.md: expected scores to write, found none" in error
    assert page.read_text() == SOME


@pytest.mark.slow
def test_a_stopped_run_continues_and_reports(data, tmp_path, capsys):
    arguments = [str(data), f"--output={tmp_path}", "--tables=dasr", "--scales=4", "--every=2"]
    blind.main([*arguments, "--share=2/2"])
    assert "4 of 8 pairs are measured" in capsys.readouterr().out
    assert not (tmp_path / "blind.json").exists()
    first = (tmp_path / "share-2-of-2.jsonl").read_text()
    blind.main(arguments)
    assert (tmp_path / "share-2-of-2.jsonl").read_text() == first
    assert len((tmp_path / "share-1-of-1.jsonl").read_text().splitlines()) == 4 * 4
    assert "8 of 8 pairs are measured" in capsys.readouterr().out
    content = json.loads((tmp_path / "blind.json").read_text())
    assert len(content["scores"]) == 8 * 4
    page = (tmp_path / "blind_scores.md").read_text()
    assert "| x4, 1.2 | Set5 (1) |" in page
    assert "| x4, 3.6 | B100 (1) |" in page
    assert str(data) not in page
    by_column = {
        column: [r["psnr_y"] for r in content["scores"] if r["column"] == column] for column in (BICUBIC, TRUTH)
    }
    assert np.mean(by_column[TRUTH]) > np.mean(by_column[BICUBIC]) + 1


def test_a_folder_without_data_is_an_error(tmp_path, capsys):
    assert "expected the folders Set5, Set14 or B100" in error_of([str(tmp_path)], capsys)


@pytest.mark.parametrize("flag", ["--tables=dasr,daser", "--scales=2,5"])
def test_an_unknown_table_or_scale_is_an_error(flag, tmp_path, capsys):
    assert f"{flag.split('=')[0]}: expected " in error_of([str(tmp_path), flag], capsys)


def test_a_report_of_noise_and_gaussian8_has_their_tables():
    scores = [made_score(NOISY, "a", 25, 28, 27.5, 14)]
    scores += [made_score(cell, name, 25, 30, 29) for cell in cells_of("gaussian8", 2) for name in "abcde"]
    page = report(scores, "command", 41)
    assert "\n41 of the 41 pairs" in page
    assert "41 of the 50 pairs" in report(scores, "command", 50)
    assert "| x2, 0.8 to 1.6 | Set5 | 25.00 | 30.00 | 29.00 | 29.10 | 28.82 | 37.19 | 37.60 | 37.00 |" in page
    assert "| x2 | 15 | isotropic | 25.00 | 28.00 | 27.50 | 0.50, 0.50 |" in page
