"""The modules at the root re-export names of the package for scripts."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RE_EXPORTING = ["main", "solver", "model", "data_loader", "degradation"]
OTHERS = ["hubconf"]  # torch.hub requires it at the root


@pytest.mark.parametrize("name", RE_EXPORTING)
def test_root_modules_re_export_names_of_the_package(name: str):
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in module.__all__:
        assert getattr(module, exported).__module__.startswith("srmd.")


def test_there_is_no_other_module_at_the_root():
    assert {path.stem for path in ROOT.glob("*.py")} == {*RE_EXPORTING, *OTHERS}


@pytest.mark.parametrize("command", [["main.py"], ["-m", "srmd"]])
def test_the_command_line_runs_as_main_py_and_as_a_package(command: list[str]):
    arguments = [sys.executable, *command, "--mode=dance"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.startswith("--mode: expected")) == (2, "", True)
