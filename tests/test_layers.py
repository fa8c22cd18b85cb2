"""The layers of the package: import-linter checks every import against the contracts in pyproject.toml."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
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


def append(folder: Path, lines: dict[str, str]) -> None:
    """Appends a line to each file of the package in a folder; a new file is created."""
    for file, line in lines.items():
        with (folder / "srmd" / file).open("a") as source:
            source.write(f"\n{line}\n")


def assert_broken(folder: Path, contract: str) -> None:
    """Checks that import-linter reports the contract with an id as broken."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    names = {each["id"]: each["name"] for each in settings["contracts"]}
    done = lint(folder)
    assert done.returncode != 0
    broken = rf"^{re.escape(names[contract])} BROKEN$"
    assert re.search(broken, done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_imports_go_downwards_and_not_in_circles():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("base/files.py", "import srmd.solver"),
        ("model.py", "from srmd.cli.flags import FLAGS"),
        ("model.py", "def later():\n    from srmd.solver import Solver"),
        ("train/soap.py", "from srmd.show import tables"),  # another folder in the same layer
        ("new_module.py", ""),  # in no layer
    ],
)
def test_an_import_from_a_higher_layer_is_reported(package_copy: Path, file: str, line: str):
    append(package_copy, {file: line})
    assert_broken(package_copy, "layers")


@pytest.mark.parametrize(
    "lines",
    [
        # In one folder: two modules, and three modules with imports inside functions.
        {"kernel/files.py": "from srmd.kernel.specs import SPEC_FORMS"},
        {"base/errors.py": "def later():\n    from srmd.base import files"},
        {
            "pictures/picture.py": "def later():\n    from srmd.pictures import png16",
            "pictures/png16.py": "def later():\n    import srmd.pictures.files",
        },
        # In one layer: a module and a folder, and two folders.
        {"solver.py": "import srmd.evaluate.run", "evaluate/run.py": "import srmd.solver"},
        {"train/memory.py": "import srmd.restore.tiles", "restore/tiles.py": "import srmd.train.memory"},
    ],
)
def test_a_circle_is_reported(package_copy: Path, lines: dict[str, str]):
    append(package_copy, lines)
    assert_broken(package_copy, "acyclic")


def test_init_files_import_nothing_from_the_package():
    """import-linter reports no circle between a module and its own folder."""
    files = list((ROOT / "srmd").rglob("__init__.py"))
    assert len(files) > 5
    for path in files:
        nodes = ast.walk(ast.parse(path.read_text()))
        imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [line for line in imports if "srmd" in line or "from ." in line], path


def test_every_module_has_a_docstring():
    assert not [path for path in (ROOT / "srmd").rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
