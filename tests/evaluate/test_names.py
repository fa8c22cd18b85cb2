"""The result of a picture lies inside the output folder, whatever the picture, its folder or old records are called."""

import json
import os
from pathlib import Path, PurePath

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from picture_files import save_smooth_picture
from srmd.cli.main import main
from srmd.evaluate.inputs import result_names
from srmd.evaluate.names import is_inside, result_file
from srmd.evaluate.records import ResultRecords

PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "...", "", "a", "a.png", ".png", "C:", "C:\\a", "\\\\server\\a", "\x1b[31m", "\0", "~"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.text("ab", min_size=250, max_size=300),
)
PATHS = st.builds(
    lambda start, parts: PurePath(start + "/".join(parts)), st.sampled_from(["", "/", "//"]), st.lists(PARTS)
)


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(PATHS)
@example(PurePath("//photos/a/x.png"))
@example(PurePath("/"))
@example(PurePath("../../x.png"))
@example(PurePath("a/.."))
def test_a_result_stays_inside_its_folder(path: PurePath):
    file = result_file(path, "_x2.png")
    folder = os.path.abspath("/output/folder")
    assert os.path.abspath(os.path.join(folder, file)).startswith(folder + os.sep)
    assert "\0" not in file
    assert file.endswith("_x2.png")
    assert os.path.normpath(file) == file


@given(st.lists(PATHS.map(lambda path: Path(path.name))))
def test_results_of_hr_pictures_stay_inside_their_folder(paths: list[Path]):
    for name in result_names(paths):
        assert os.path.dirname(os.path.normpath(f"{name}.png")) == ""
        assert name not in ("", ".", "..")


@given(PATHS.map(str))
def test_a_recorded_path_that_leads_elsewhere_is_recognised(file: str):
    folder = "/output/folder"
    target = os.path.abspath(os.path.join(folder, file.replace("\0", "")))
    if is_inside(file):
        assert target == folder or target.startswith(folder + os.sep)


@pytest.mark.parametrize("file", ["/etc/passwd", "//etc/passwd", "../x.png", "a/../../x.png", "a\0b"])
def test_records_of_files_elsewhere_are_ignored(file: str, tmp_path: Path):
    rows = [{"file": file, "settings": 0}, {"file": "inside/x.png", "settings": 0}]
    (tmp_path / "metrics.json").write_text(json.dumps({"images": rows, "settings": [{}]}))
    (tmp_path / ".srmd-0.jsonl").write_text(json.dumps({"file": file, "settings": {}}) + "\n")
    assert list(ResultRecords(tmp_path).rows) == ["inside/x.png"]


def test_pictures_below_two_slashes_are_written_to_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for folder, name in (("a", "x"), ("b", "y")):
        Path(folder).mkdir()
        save_smooth_picture(f"{folder}/{name}.png", np.random.default_rng(0), (16, 16))
    before = set(os.listdir("/"))
    pictures = [f"/{tmp_path}/a/x.png", f"/{tmp_path}/b/y.png"]
    assert pictures[0].startswith("//")
    assert main([*pictures, "--kernel=delta", "--output=out", "--device=cpu"]) == 0
    assert {path.name for path in Path("out").iterdir()} == {"x.png", "y.png", "metrics.json"}
    assert set(os.listdir("/")) == before
