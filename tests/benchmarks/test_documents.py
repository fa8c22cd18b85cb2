"""The command that makes pictures, tables and plots of the documents anew."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks import documents
from benchmarks.documents import STEPS, Step, data_steps
from benchmarks.plans import ROOT

FAILING = Step("failing", "nothing", (("json.tool", "missing.json"),))
WORKING = Step("working", "nothing", (("compileall", "--help"),))
UNAFFECTED = {"dashboard.png", "panel.png", "loss.png", "scaling.png"}  # screenshots, a training, speed


def test_all_pictures_that_depend_on_the_networks_are_made():
    written = {name for step in STEPS for name in step.writes.split(", ")}
    assert {f"img/{path.name}" for path in (ROOT / "img").iterdir() if path.name not in UNAFFECTED} <= written
    assert all((ROOT / name).exists() for name in written)


def test_the_commands_of_the_steps_exist():
    modules = {command[0] for step in [*STEPS, *data_steps(Path("data"))] for command in step.commands}
    assert {"benchmarks.jpeg", "benchmarks.blind", "benchmarks.motion", "srmd.cli.demo"} <= modules
    assert all(importlib.util.find_spec(module) for module in modules)


def test_each_table_of_jpegs_has_its_place_on_the_page():
    page = (ROOT / "docs" / "jpeg.md").read_text()
    for network, names in documents.JPEG_TABLES.items():
        for name in names:
            assert f"<!-- {network} {name} -->\n\n| " in page
            assert f"<!-- end of {network} {name} -->" in page


def test_a_failed_step_is_named_and_the_others_still_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    monkeypatch.setattr(documents, "STEPS", (FAILING, WORKING))
    monkeypatch.setattr("sys.argv", ["documents"])
    assert documents.main() == 1
    output = capfd.readouterr()
    assert output.err.endswith("failed: failing\n")
    assert "working: done in" in output.out


def test_only_the_named_steps_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    monkeypatch.setattr(documents, "STEPS", (FAILING, WORKING))
    monkeypatch.setattr("sys.argv", ["documents", "--only", "working"])
    assert documents.main() == 0
    assert "failing" not in capfd.readouterr().out


def test_an_unknown_step_is_refused_with_the_names_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.argv", ["documents", "--only", "scroes"])
    with pytest.raises(SystemExit) as exit_code:
        documents.main()
    assert exit_code.value.code == 2
    assert "--only: expected some of flags, scores, " in (error := capsys.readouterr().err)
    assert error.endswith("found scroes\n")
