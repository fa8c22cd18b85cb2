"""pyproject.toml agrees with the folders of the package and with the requirements files."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
DATA = {"srmd.data.kernels": ROOT / "kernels", "srmd.data.weights": ROOT / "weights"}


def files_of_the_package() -> Iterable[tuple[str, Path]]:
    """Each file of the package, with the name of the package that it belongs to."""
    for path in (ROOT / "srmd").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield ".".join(path.relative_to(ROOT).parent.parts), path
    for package, folder in DATA.items():
        yield from ((package, path) for path in folder.iterdir())


def test_the_wheel_contains_every_folder():
    assert sorted(SETUPTOOLS["packages"]) == sorted({package for package, _ in files_of_the_package()})


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for package, path in files_of_the_package() if package not in DATA}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_wheel_contains_every_file():
    patterns = SETUPTOOLS["package-data"]
    others = [(package, path.name) for package, path in files_of_the_package() if path.suffix != ".py"]
    missing = [
        (package, name)
        for package, name in others
        if not any(fnmatch(name, glob) for glob in patterns.get(package, []))
    ]
    assert missing == []


def bounds(lines: Iterable[str]) -> dict[str, str]:
    """The version specifiers of requirements by the name of the library."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    requirements = [Requirement(line) for line in stripped if line and not line.startswith("-r")]
    return {each.name: str(each.specifier) for each in requirements if each.name != PROJECT["name"]}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ["dashboard", "test"]),
        ("requirements-engines.txt", ["engines", "export"]),
        ("requirements-panel.txt", ["panel"]),
    ],
)
def test_pyproject_and_requirements_files_have_the_same_bounds(file: str, extras: list[str]):
    needed = PROJECT["dependencies"] if file == "requirements.txt" else []
    requirements = [*needed, *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    assert bounds(requirements) == bounds((ROOT / file).read_text().splitlines())


TIMED_IMPORT = """
import sys, time
start = time.process_time()
import srmd
print(time.process_time() - start, {"torch", "numpy"} & set(sys.modules))
"""


def test_importing_the_package_takes_at_most_50_ms():
    """Of processor time, on which other programs have little effect."""
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", TIMED_IMPORT]
        taken, modules = subprocess.check_output(command, cwd=ROOT, text=True).split()
        assert modules == "set()"
        seconds.append(float(taken))
    assert min(seconds) <= 0.05
