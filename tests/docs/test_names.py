"""What the documents name in backticks exists: files, modules, names of code, flags."""

import importlib.util
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

from documents import NAMES, ROOT, prose, read
from srmd.cli.flags import FLAGS

CODED = ["CONTRIBUTING.md", "docs/architecture.md", "docs/training.md", "docs/weights.md", "docs/speed.md"]
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:srmd|tests|benchmarks|docs|kernels|weights|img)/[\w./]*")
NAME = re.compile(r"(?:\w+\.)*(\w+)(?:\(.*\))?")
OLD_NAMES = "CHANGELOG.md"  # lists names that are gone
PLACEHOLDERS = {"srmd/backends/NAME.py"}
# Flags of other programs, or of all modes.
OTHER_FLAGS = {"--mode", "--help", "--version", "--list_weights", "--clear_cache", "--count"}
OTHER_FLAGS |= {"--nproc_per_node", "--nnodes", "--max_restarts", "--shutdown_timeout"}  # torchrun's
OWN_FLAG = re.compile(r'add(?:_argument)?\(\s*"(--\w+)"')  # in the source of a module with flags of its own
# What is quoted and is neither a name of code nor a path of this repository.
OTHER_WORDS = {
    "npm", "cc", "bash", "python", "text", "engines", "slow", "runs", "models", "srmdnf", "make",
    "MAX_", "MIN_", "step", "loss", "lr", "images_per_s", "pca", "srmd", "SRMD",
}  # fmt: skip


@cache
def code_words() -> frozenset[str]:
    """Return every word of the package's code, the benchmarks and the tests."""
    folders = "srmd", "benchmarks", "tests", "docs"
    files = [path for folder in folders for ending in ("py", "c", "h") for path in (ROOT / folder).rglob(f"*.{ending}")]
    extra = [ROOT / name for name in ("Makefile", "pyproject.toml", "main.py", "hubconf.py")]
    return frozenset(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in [*files, *extra])))


def quoted(name: str) -> list[str]:
    return QUOTED.findall(prose(name))


@pytest.mark.parametrize("name", [name for name in NAMES if name != OLD_NAMES])
def test_paths_exist(name: str):
    for text in quoted(name):
        if PATH.fullmatch(text) and text not in PLACEHOLDERS:
            assert (ROOT / text).exists(), text


@pytest.mark.parametrize("name", [name for name in NAMES if name != OLD_NAMES])
def test_modules_exist(name: str):
    for module in re.findall(r"python -m ([\w.]+)", read(name)):
        if module != "pytest":
            assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("name", NAMES)
def test_flags_exist(name: str):
    known = {f"--{flag.name}" for flag in FLAGS} | OTHER_FLAGS
    if name == "benchmarks/gpu.md":
        known |= own_flags("benchmarks.gpu.__main__")
    for text in quoted(name):
        modules = re.findall(r"python -m (benchmarks\.\w+)", text)
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z_]*", text)) <= known.union(*map(own_flags, modules)), text


def own_flags(module: str) -> set[str]:
    return set(OWN_FLAG.findall(Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", CODED)
def test_names_of_code_exist(name: str):
    for text in quoted(name):
        match = NAME.fullmatch(text)
        if match and match[1] not in OTHER_WORDS and not Path(ROOT / text).exists():
            assert match[1] in code_words(), text


def test_new_names_of_the_changelog_exist():
    """The second column of its tables holds modules, paths of names such as `srmd.solver.Solver`, and names of code."""
    rows = re.findall(r"^\| `.+ \| (.+) \|$", prose(OLD_NAMES), re.MULTILINE)
    assert len(rows) > 60
    for text in [text for row in rows for text in QUOTED.findall(row)]:
        text = text.removeprefix("python -m ")
        if text.startswith("srmd."):
            assert pkgutil.resolve_name(text), text  # raises ImportError or AttributeError
        elif match := NAME.fullmatch(text):
            assert match[1] in code_words(), text
