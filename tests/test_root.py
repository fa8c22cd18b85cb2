"""The modules at the root re-export names of the package."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REEXPORTS = ["main", "solver", "model", "data_loader", "degradation"]
OTHERS = ["hubconf"]  # where torch.hub looks for it


@pytest.mark.parametrize("name", REEXPORTS)
def test_the_root_modules_only_re_export_names_of_the_package(name: str):
    module = importlib.import_module(name)
    assert module.__doc__
    for name in module.__all__:
        assert getattr(module, name).__module__.startswith("srmd.")


def test_no_other_module_lies_at_the_root():
    assert {path.stem for path in ROOT.glob("*.py")} == {*REEXPORTS, *OTHERS}


@pytest.mark.parametrize("command", [["main.py"], ["-m", "srmd"]])
def test_the_command_runs_by_file_and_by_package(command: list[str]):
    arguments = [sys.executable, *command, "--mode=dance"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.startswith("--mode: expected")) == (2, "", True)
