"""The commands --list_weights and --clear_cache."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from srmd.base.files import cache_folder
from srmd.cli import main
from srmd.model import SRMD, NetworkConfig
from srmd.weights.files import Weights, write_weights

ROOT = Path(__file__).parents[2]


def test_the_networks_are_listed_with_scale_conditions_and_the_scores_of_the_readme(capsys: pytest.CaptureFixture):
    assert main.main(["--list_weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {cells[0]: cells[1:] for line in lines if len(cells := re.split(r"\s{2,}", line)) > 3}
    shipped = {path.stem for path in (ROOT / "weights").glob("srmd*.safetensors")}
    assert rows.keys() == {"network"} | shipped
    assert rows["srmd_x2"][:2] == ["x2", "kernel, noise"]
    assert rows["srmdnf_x3"][:2] == ["x3", "kernel"]
    assert rows["srmdnf_x3"][4] == "–"  # SRMDNF is not scored with noise
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for kind in ("SRMD", "SRMDNF"):
        row = re.search(rf"\| {re.escape(rows['network'][2])} \| {kind} \|(.*)", readme)[1].split("|")
        for scale in (2, 3, 4):
            assert row[scale - 1].split()[0] == rows[f"{kind.lower()}_x{scale}"][2]
    assert lines[-1] == f"Files: {ROOT / 'weights'}"


def test_a_network_that_is_told_of_jpeg_is_listed_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    network = SRMD(NetworkConfig(conditions=("kernel", "noise", "jpeg"), features=4, layers=3))
    write_weights(tmp_path / "srmdj_x2.safetensors", Weights(network, torch.zeros(15, 225)))
    monkeypatch.setattr("srmd.weights.shipped.shipped_folder", lambda _: tmp_path)
    assert main.main(["--list_weights"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert re.split(r"\s{2,}", row) == ["srmdj_x2", "x2", "kernel, noise, jpeg", "–", "–", "–"]


def test_files_that_are_no_networks_of_srmd_are_left_out_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    (tmp_path / "cut.safetensors").write_bytes((ROOT / "weights/srmd_x2.safetensors").read_bytes()[:1000])
    (tmp_path / "empty.safetensors").touch()
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name, value in {"list": "[1]", "no_scale": '{"a": 1}', "text": "x"}.items():
        save_file({"weight": torch.zeros(3)}, tmp_path / f"{name}.safetensors", {"srmd": value})
    write_weights(
        tmp_path / "own_x3.safetensors", Weights(SRMD(NetworkConfig(scale=3, layers=3)), torch.zeros(15, 225))
    )
    monkeypatch.setattr("srmd.weights.shipped.shipped_folder", lambda _: tmp_path)
    assert main.main(["--list_weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["own_x3", "x3"]
    left_out = [line.split()[2].removesuffix(".safetensors,") for line in lines if line.startswith("Left out")]
    assert left_out == ["cut", "empty", "folder", "list", "no_scale", "other", "text"]


def test_the_networks_are_listed_without_torch():
    program = "import sys; from srmd.cli import main; main.main(['--list_weights']); sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)


def test_clearing_the_cache_names_what_it_removes_and_leaves_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "srmd"
    assert main.main(["--clear_cache"]) == 0
    assert capsys.readouterr().out == "the cache is empty\n"
    cache.mkdir()
    kept = ["notes.txt", "convolution.c"]
    names = ["engines.json", "convolution-0123456789abcdef.so", f".tmp-srmd-{'0' * 32}.json"]
    for name in [*kept, *names]:
        (cache / name).touch()
    assert main.main(["--clear_cache"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(f"removed {cache / name}" for name in names)
    assert sorted(path.name for path in cache.iterdir()) == sorted(kept)
    for name in kept:
        (cache / name).unlink()
    assert main.main(["--clear_cache"]) == 0
    assert not cache.exists()


def test_everything_that_the_package_caches_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from srmd.backends import choice
    from srmd.winograd import compiled

    compiled.load.__wrapped__()  # into the cache folder of all tests, if it is not there yet
    if cache_folder().exists():
        shutil.copytree(cache_folder(), tmp_path / "srmd")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    choice._write_cache("key", "fastest")
    assert (tmp_path / "srmd" / "engines.json").exists()
    assert main.main(["--clear_cache"]) == 0
    assert list(tmp_path.iterdir()) == []
