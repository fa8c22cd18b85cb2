"""The modules at the root: they pass on what scripts import."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
THIN = ["main", "solver", "model", "data_loader", "degradation"]
OTHERS = ["hubconf"]  # torch.hub looks for it there


@pytest.mark.parametrize("name", THIN)
def test_what_is_passed_on_is_the_packages_own(name: str):
    module = importlib.import_module(name)
    assert module.__doc__
    for passed_on in module.__all__:
        assert getattr(module, passed_on).__module__.startswith("srmd.")


def test_no_other_module_lies_at_the_root():
    assert {path.stem for path in ROOT.glob("*.py")} == {*THIN, *OTHERS}


@pytest.mark.parametrize("command", [["main.py"], ["-m", "srmd"]])
def test_the_command_runs_by_file_and_by_package(command: list[str]):
    asked = [sys.executable, *command, "--mode=dance"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.startswith("--mode: expected")) == (2, "", True)
