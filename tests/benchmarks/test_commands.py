"""Benchmarks end with one line if a file or folder that they are given cannot be used."""

import runpy
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("benchmark", "arguments", "message"),
    [
        ("blind_jpeg", ["empty"], "empty: expected pictures directly inside it, found no file"),
        ("other_formats", ["empty"], "empty: expected pictures directly inside it, found no file"),
        ("paired_runs", ["--lossy=empty", "--lossless=empty"], "empty: expected pictures directly inside it"),
        ("window", ["srmd_x9"], "srmd_x9.safetensors: expected a file, found no such file"),
        ("fit_colours", ["srmd_x9"], "srmd_x9.safetensors: expected a file, found no such file"),
    ],
)
def test_a_wrong_file_is_named_on_one_line(
    benchmark: str, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    monkeypatch.setattr(sys, "argv", [benchmark, *arguments])
    monkeypatch.delitem(sys.modules, f"benchmarks.{benchmark}", raising=False)  # so that it is run without a warning
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{benchmark}", run_name="__main__")
    assert message in ended.value.code
    assert "\n" not in ended.value.code
