"""What pyproject.toml says of the package, against the folders and requirements that it must agree with."""

import statistics
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
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
DATA = {"srmd.data.kernels": ROOT / "kernels", "srmd.data.weights": ROOT / "weights"}


def files_of_the_package() -> Iterable[tuple[str, Path]]:
    """Each file that git would hold, with its folder's name as a package."""
    for path in (ROOT / "srmd").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield ".".join(path.relative_to(ROOT).parent.parts), path
    for package, folder in DATA.items():
        yield from ((package, path) for path in folder.iterdir())


def test_the_wheel_has_every_folder():
    assert sorted(SETUPTOOLS["packages"]) == sorted({package for package, _ in files_of_the_package()})


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for package, path in files_of_the_package() if package not in DATA}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_wheel_has_every_file():
    patterns = SETUPTOOLS["package-data"]
    others = [(package, path.name) for package, path in files_of_the_package() if path.suffix != ".py"]
    missing = [each for each in others if not any(fnmatch(each[1], glob) for glob in patterns.get(each[0], []))]
    assert missing == []


def bounds(lines: Iterable[str]) -> dict[str, str]:
    """The versions that are asked for, by the name of what is asked for."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    requirements = [Requirement(line) for line in stripped if line and not line.startswith("-r")]
    return {each.name: str(each.specifier) for each in requirements if each.name != PROJECT["name"]}


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", ["dashboard", "test"]), ("requirements-engines.txt", ["engines"])],
)
def test_the_bounds_are_those_of_the_requirements(file: str, extras: list[str]):
    needed = PROJECT["dependencies"] if file == "requirements.txt" else []
    asked = [*needed, *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    assert bounds(asked) == bounds((ROOT / file).read_text().splitlines())


def test_what_the_benchmarks_ask_for_too_has_the_same_bounds():
    of_benchmarks = bounds((ROOT / "benchmarks" / "requirements.txt").read_text().splitlines())
    export = bounds(PROJECT["optional-dependencies"]["export"])
    both = export.keys() & of_benchmarks.keys()
    assert {name: export[name] for name in both} == {name: of_benchmarks[name] for name in both}


def import_of_the_package() -> subprocess.CompletedProcess[str]:
    program = "import sys, srmd; print({'torch', 'numpy'} & set(sys.modules))"
    command = [sys.executable, "-X", "importtime", "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def test_importing_the_package_costs_next_to_nothing():
    """Python's own account of the import alone: how long an interpreter takes to start says more of the machine."""
    microseconds = []
    for _ in range(7):
        done = import_of_the_package()
        assert done.stdout == "set()\n"
        (line,) = (line for line in done.stderr.splitlines() if line.split("|")[-1].strip() == "srmd")
        microseconds.append(int(line.split("|")[1]))
    assert statistics.median(microseconds) <= 50_000
