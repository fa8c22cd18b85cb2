"""Restoring LR pictures into a folder that holds results already."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_restoring import BASE, Estimator, contents, files, metrics, picture, restore, write_network
from srmd.cli import main
from srmd.evaluate import restoring
from srmd.evaluate.records import JOURNALS, ResultRecords


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_network("tiny.safetensors")


def test_an_existing_result_is_skipped_if_its_settings_are_equal(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        picture(name)
    assert restore("--input", "in") == 0
    before = contents()
    picture("in/c.png")
    Path("out/b.png").unlink()
    capsys.readouterr()
    shutil.copy("tiny.safetensors", "copy.safetensors")  # the file's content counts
    assert restore("--input", "in", "--tile=16", weights="copy.safetensors") == 0
    assert contents()["out/a.png"] == before["out/a.png"]
    assert metrics()["summary"] == {"restored": 2, "skipped": 1, "left_out": 0}
    assert [row["name"] for row in metrics()["images"]] == ["a", "b", "c"]
    assert "skipped 1, which were restored before with equal settings" in capsys.readouterr().out


def test_a_picture_that_is_gone_is_left_out_even_if_its_result_exists(capsys: pytest.CaptureFixture):
    for name in ("in/a.png", "in/b.png"):
        picture(name)
    assert restore("--input", "in/a.png") == 0
    Path("in/a.png").unlink()
    Path("in/a.png").symlink_to("nowhere.png")
    before = contents()
    assert restore("--input", "in") == 1
    assert capsys.readouterr().err == "1 of 2 pictures were left out: in/a.png\n"
    assert files() == ["a.png", "b.png", "metrics.json"]
    assert contents()["out/a.png"] == before["out/a.png"]


@pytest.mark.parametrize(
    ("flags", "kernel", "weights", "difference"),
    [
        ([], "gaussian:1", "tiny.safetensors", "assumed"),
        ([], "delta", "other.safetensors", "weights"),
        (["--self_ensemble"], "delta", "tiny.safetensors", "self_ensemble"),
        (["--outscale=1.5"], "delta", "tiny.safetensors", "outscale"),
        (["--size=30x30"], "delta", "tiny.safetensors", "size"),
        (["--precision=auto"], "delta", "tiny.safetensors", "precision"),
    ],
)
def test_a_result_made_with_other_settings_is_refused_and_overwritten_on_demand(
    flags: list[str], kernel: str, weights: str, difference: str, capsys: pytest.CaptureFixture
):
    write_network("other.safetensors", seed=1)
    picture("in/a.png")
    picture("in/b.png")
    assert restore("--input", "in") == 0
    before = contents()
    assert restore("--input", "in", *flags, kernel=kernel, weights=weights) == 2
    expected = f"--output: out/a.png exists and was made with other settings: {difference} (and 1 more); "
    assert capsys.readouterr().err == f"{expected}--overwrite makes results anew\n"
    assert contents() == before
    assert restore("--input", "in", *flags, "--overwrite", kernel=kernel, weights=weights) == 0
    assert contents() != before
    assert restore("--input", "in", *flags, kernel=kernel, weights=weights) == 0
    assert metrics()["summary"]["skipped"] == 2
    assert len(metrics()["settings"]) == 1


def test_overwrite_makes_equal_results_anew_too():
    picture("in/a.png")
    assert restore("--input", "in") == 0
    before = contents()
    assert restore("--input", "in", "--overwrite") == 0
    assert contents() != before


def test_maps_and_kernel_files_are_compared_by_content(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    flags = ["--input", "in", "--kernel=gaussian:1", "--regions=labels.png"]
    for labels in (np.eye(16, 20), np.eye(16, 20), np.eye(16, 20)[::-1]):
        Image.fromarray(labels.astype(np.uint8)).save("labels.png")
        code = restore(*flags)
    assert code == 2
    assert "other settings: assumed" in capsys.readouterr().err
    assert metrics()["summary"]["skipped"] == 1
    assert restore(*flags, "--region_blend=2") == 2
    assert "assumed, region_blend" in capsys.readouterr().err


def test_a_result_from_a_picture_that_has_changed_is_refused(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    assert restore("--input", "in") == 0
    picture("in/a.png", seed=1)
    assert restore("--input", "in") == 2
    assert "was made from in/a.png, which is another picture than in/a.png or has changed" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "{", "[]", '{"images": [{"file": "a.png"}], "settings": []}', '{"images": 3}'])
def test_a_result_that_no_metrics_explain_is_refused(text: str | None, capsys: pytest.CaptureFixture):
    picture("in/a.png")
    picture("out/a.png")
    if text is not None:
        Path("out/metrics.json").write_text(text)
    before = contents()
    assert restore("--input", "in") == 2
    assert "out/a.png exists and no metrics.json says how it was made" in capsys.readouterr().err
    assert contents() == before


def test_results_of_several_runs_share_a_folder():
    picture("one/a.png")
    picture("two/b.png")
    assert restore("--input", "one") == 0
    assert restore("--input", "two", kernel="gaussian:1") == 0
    assert restore("--input", "one") == 0
    assert metrics()["summary"] == {"restored": 0, "skipped": 1, "left_out": 0}
    rows, settings = metrics()["images"], metrics()["settings"]
    assert {row["name"]: settings[row["settings"]]["assumed"]["kernel"] for row in rows} == {
        "a": "delta",
        "b": "gaussian:1",
    }


def test_what_another_process_records_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch):
    picture("one/a.png")
    picture("two/b.png")
    write = restoring.write_picture

    def write_while_another_run_ends(path: Path, *arguments: object) -> None:
        if path.name == "a.png":
            assert restore("--input", "two") == 0
        write(path, *arguments)

    monkeypatch.setattr(restoring, "write_picture", write_while_another_run_ends)
    assert restore("--input", "one") == 0
    assert [row["name"] for row in metrics()["images"]] == ["a", "b"]


def test_journals_stay_until_a_run_ends_alone():
    for name in ("out/a.png", "out/b.png"):
        picture(name)
    with ResultRecords(Path("out")) as first:
        first.add({"file": "a.png", "settings": {}})
        with ResultRecords(Path("out")) as second:
            second.add({"file": "b.png", "settings": {}})
            assert [row["file"] for row in second.existing_rows()] == ["a.png", "b.png"]
            second.remove_journals()
        assert len(list(Path("out").glob(JOURNALS))) == 2
        assert [row["file"] for row in first.existing_rows()] == ["a.png", "b.png"]
        first.remove_journals()
    assert not list(Path("out").glob(JOURNALS))


def test_of_two_journals_the_one_written_last_says_how_a_result_was_made():
    picture("out/a.png")
    for number, name in enumerate("ba"):  # by name they come in the other order
        with Path(f"out/.srmd-{name}.jsonl").open("w") as journal:
            journal.write(json.dumps({"file": "a.png", "settings": {"number": number}}) + "\n")
        os.utime(journal.name, (number, number))
    assert ResultRecords(Path("out")).rows["a.png"]["settings"] == {"number": 1}


def test_results_inside_the_input_folder_are_not_restored_again(capsys: pytest.CaptureFixture):
    picture("in/a.png")
    picture("in/sub/b.png")
    flags = ["--mode=test", *BASE[:-1], "--weights=tiny.safetensors", "--kernel=delta", "--input", "in", "--recursive"]
    assert main.main([*flags, "--output=in/results"]) == 0
    expected = ["a.png", "metrics.json", "results/a.png", "results/metrics.json", "results/sub/b.png", "sub/b.png"]
    assert files("in") == sorted([*expected[:1], *expected[2:]])
    assert main.main([*flags, "--output=in/results"]) == 0
    assert files("in/results") == ["a.png", "metrics.json", "sub/b.png"]
    assert main.main([*flags, "--output=other"]) == 0  # results of another run, found on the way
    assert files("other") == ["a.png", "metrics.json", "sub/b.png"]
    assert "not restored: the pictures in in/results, which are results" in capsys.readouterr().out


def test_results_beside_their_inputs_are_not_restored_again():
    picture("in/a.png")
    flags = ["--mode=test", *BASE[:-1], "--weights=tiny.safetensors", "--kernel=delta", "--output=in", "--suffix=_x2"]
    for _ in range(2):
        assert main.main([*flags, "--input", "in"]) == 0
        assert files("in") == ["a.png", "a_x2.png", "metrics.json"]
    assert main.main([*flags, "--input", "in/a_x2.png"]) == 0  # named explicitly
    assert "a_x2_x2.png" in files("in")


def test_a_record_with_a_name_that_is_too_long_is_ignored():
    picture("in/a.png")
    assert restore("--input", "in") == 0
    written = metrics()
    written["images"].append(written["images"][0] | {"file": "a" * 300 + ".png"})
    Path("out/metrics.json").write_text(json.dumps(written))
    assert restore("--input", "in") == 0
    assert [row["file"] for row in metrics()["images"]] == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on the size of files")
def test_a_journal_that_cannot_be_written_is_named_also_when_it_is_closed():
    import resource

    def record() -> None:
        with ResultRecords(Path.cwd()) as records:
            records.add({"file": "a.png", "settings": {}})

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # any write fails, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            record()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert re.fullmatch(r"\.srmd-[0-9a-f]{32}\.jsonl", Path(caught.value.filename).name)


@pytest.mark.parametrize("estimated", [None, {}, {"kernel": "kernel.npy"}, {"kernel": 3}, "delta"])
def test_a_record_without_the_kernel_that_was_estimated_is_not_trusted(
    estimated: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("srmd.evaluate.assumption.BlindEstimator", Estimator)
    picture("in/a.png")
    flags = ["--input", "in", "--save_kernel=kernels"]
    assert restore(*flags, kernel="auto") == 0
    written = metrics()
    del written["images"][0]["estimated"]
    if estimated is not None:
        written["images"][0]["estimated"] = estimated
    Path("out/metrics.json").write_text(json.dumps(written))
    np.save("kernel.npy", np.ones((3, 3)))
    assert restore(*flags, kernel="auto") == 2
    assert "out/a.png exists and no metrics.json says how it was made" in capsys.readouterr().err
