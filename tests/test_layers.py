"""The layers of the package: import-linter checks every import against the contracts in pyproject.toml."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on a folder that contains srmd/ and pyproject.toml."""
    return subprocess.run([sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def package_copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package, to which tests add forbidden imports."""
    skip = shutil.ignore_patterns("__pycache__", "data")
    shutil.copytree(ROOT / "srmd", tmp_path / "srmd", ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_go_downwards_and_not_in_circles():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("base/files.py", "import srmd.solver", "Modules import from lower layers"),
        ("model.py", "from srmd.cli.flags import FLAGS", "Modules import from lower layers"),
        ("model.py", "def later():\n    from srmd.solver import Solver", "Modules import from lower layers"),
        ("train/soap.py", "from srmd.show import tables", "Modules import from lower layers"),  # same layer
        ("base/errors.py", "def later():\n    from srmd.base import files", "No circular imports"),
        ("new_module.py", "", "Modules import from lower layers"),  # in no layer
    ],
)
def test_a_forbidden_import_is_reported(package_copy: Path, file: str, line: str, contract: str):
    with (package_copy / "srmd" / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(package_copy)
    assert done.returncode != 0
    assert re.search(rf"^{contract}.* BROKEN$", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_every_module_has_a_docstring():
    assert not [path for path in (ROOT / "srmd").rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
