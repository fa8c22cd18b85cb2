"""No circle of imports, be it inside of a folder, between folders or through a folder's `__init__.py`."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "srmd"
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"


@pytest.mark.parametrize(
    "added",
    [
        # In one folder: two modules, and a circle of three by way of imports inside functions.
        {"kernel/files.py": "from srmd.kernel.specs import FORMS"},
        {
            "pictures/picture.py": "def f():\n    from srmd.pictures import png16",
            "pictures/png16.py": "def f():\n    import srmd.pictures.files",
        },
        # Between a folder and a module, and between two folders, of one layer.
        {"solver.py": "import srmd.evaluate.run", "evaluate/run.py": "import srmd.solver"},
        {"train/memory.py": "import srmd.restore.tiles", "restore/tiles.py": "import srmd.train.memory"},
    ],
)
def test_a_circle_is_reported(tmp_path: Path, added: dict[str, str]):
    shutil.copytree(PACKAGE, tmp_path / "srmd", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path)
    for file, line in added.items():
        with (tmp_path / "srmd" / file).open("a") as source:
            source.write(f"\n{line}\n")
    done = subprocess.run([sys.executable, "-c", LINT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search("^No circles BROKEN$", done.stdout, re.MULTILINE), done.stdout + done.stderr


def imports(path: Path) -> list[str]:
    """The import statements of a file, those inside functions included."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def test_the_init_files_import_nothing_of_the_package():
    """import-linter sees no circle between a module and the folder that holds it."""
    files = list(PACKAGE.rglob("__init__.py"))
    assert len(files) > 5
    for path in files:
        assert not [line for line in imports(path) if "srmd" in line or "from ." in line], path
