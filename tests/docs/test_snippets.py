"""The commands and Python snippets of the documents work.

The quick tests parse every `main.py` and `srmd` command, in a folder with the files that it names, and run the Python
snippets. The slow tests run the commands as well, on small pictures and for few steps. Each command is of one of these
kinds: it is run (`main.py`, `srmd`, RUN), or it is an exception with a reason and a check (NOT_RUN). Others fail.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from documents import NAMES, ROOT, Block, blocks, read
from example_files import add_trained_run, prepare
from srmd.cli import main, requests
from srmd.cli.flags import FLAGS

OTHER_LANGUAGES = {"text", "bibtex"}  # blocks that hold neither commands nor Python
SMALL_TRAINING = ["--steps=2", "--batch_size=2", "--patch_size=8"]
ON_CPU = ["--device=cpu", "--precision=fp32", "--visdom=off"]
RUN = {  # other programs that are run, with flags that make them small
    "python -c": [],
    "python -m srmd.kernel.motion": ["--count=20"],
}


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = [word for word in words[1:] if "=" not in word]
    assert set(asked) <= set(targets)
    variables = [word.split("=")[0] for word in words[1:] if "=" in word]
    assert all(f"$({variable})" in (ROOT / "Makefile").read_text() for variable in variables)


def check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    line = shlex.join(words)
    assert set(re.findall(r"\.\[(\w+)\]", line)) <= set(extras)
    files = re.findall(r"(?:CONSTRAINT=|-r )(\S+)", line)
    assert all((ROOT / file).is_file() for file in files)


def check_module(words: list[str]) -> None:
    assert importlib.util.find_spec(words[2])


def check_pytest(words: list[str]) -> None:
    assert (ROOT / words[3]).exists()


def check_panel(words: list[str]) -> None:
    requests.parse(words[1:])


def check_torchrun(words: list[str]) -> None:
    flags = {word.split("=")[0] for word in words[words.index("main.py") + 1 :]}
    assert flags <= {"--mode", *(f"--{flag.name}" for flag in FLAGS)}


def no_check(words: list[str]) -> None:
    pass


NOT_RUN: dict[str, tuple[str, Callable[[list[str]], None]]] = {
    r"make( |$)": ("installs packages, or takes minutes", check_make),
    r"(PIP_\w+=\S+ )*pip install ": ("installs packages", check_pip),
    r"\. \.venv/bin/activate$": ("needs the .venv that make creates", no_check),
    r"python -m benchmarks\.": ("takes minutes; tests/benchmarks/ has tests of its own", check_module),
    r"(tar|mkdir|split|sha256sum|cat) ": ("files of pictures; tests/benchmarks/test_gpu_commands.py", no_check),
    r"timeout -s KILL 120 python -m benchmarks\.gpu ": (
        "takes minutes; tests/benchmarks/test_gpu_commands.py",
        no_check,
    ),
    r"python -m docs\.generate$": ("would change the documents; tests/docs/test_generated.py", check_module),
    r"python -m srmd\.show\.visdom_server$": ("serves until Ctrl-C; tests/show/", check_module),
    r"srmd --mode=panel": ("serves until Ctrl-C; tests/panel/", check_panel),
    r"torchrun ": ("starts several processes; tests/test_distributed.py", check_torchrun),
    r"python -m pytest ": ("runs the tests inside the tests", check_pytest),
}
# Recorded commands of trainings that took hours on data that is not part of the repository.
PARSED_ONLY = {"weights/README.md": {"--train_data=data/train_pictures", "--train_data=data/both"}}


def flags_of(words: list[str]) -> list[str] | None:
    """Return the arguments of a `main.py` or `srmd` command, None of any other."""
    if words[:2] == ["python", "main.py"]:
        return words[2:]
    return words[1:] if words[0] == "srmd" and words[1:2] != ["--mode=panel"] else None


def exception(words: list[str]) -> Callable[[list[str]], None] | None:
    """Return the check of a command that is not run, None for others."""
    found = [check for pattern, (_, check) in NOT_RUN.items() if re.match(pattern, " ".join(words))]
    return found[0] if found else None


def shell_commands(name: str) -> list[list[str]]:
    return [words for block in blocks(name) if block.language == "bash" for words in block.commands()]


def python_blocks(name: str) -> list[Block]:
    return [block for block in blocks(name) if block.language == "python"]


WITH_COMMANDS = [name for name in NAMES if shell_commands(name)]
# docs/export.md: test_export_page.py runs its snippet.
WITH_PYTHON = [name for name in NAMES if python_blocks(name) and name != "docs/export.md"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents name."""
    folder = tmp_path_factory.mktemp("examples")
    prepare(folder)
    return folder


@pytest.fixture
def examples(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs a test in a copy of the prepared folder."""
    shutil.copytree(prepared, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # Each training would run a benchmark, and search for dormant features on 128 patches.
    monkeypatch.setattr("srmd.solver.winograd_is_faster", lambda *_: False)
    monkeypatch.setattr("srmd.solver.RESET_PATCHES", 16)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_block_has_a_known_language(name: str):
    found = blocks(name)
    assert {block.language for block in found} <= {"bash", "python"} | OTHER_LANGUAGES
    assert read(name).count("```") == 2 * len(found), "a fence that is indented, or not closed"


@pytest.mark.parametrize("name", WITH_COMMANDS)
@pytest.mark.usefixtures("examples")
def test_every_command_is_run_or_is_an_exception(name: str):
    for words in shell_commands(name):
        is_run = flags_of(words) is not None or any(" ".join(words).startswith(start) for start in RUN)
        check = exception(words)
        assert is_run != (check is not None), f"{shlex.join(words)}: neither run nor an exception, or both"
        if check:
            check(words)


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_the_flags_of_every_command_are_valid(name: str, examples: Path):
    add_trained_run(examples)
    for words in shell_commands(name):
        flags = flags_of(words)
        if flags is not None:
            requests.parse(flags)


@pytest.mark.parametrize("name", WITH_PYTHON)
@pytest.mark.usefixtures("examples")
def test_every_python_snippet_runs(name: str):
    names: dict = {}
    for block in python_blocks(name):
        exec(compile(block.text, name, "exec"), names)


def small(flags: list[str], number: int) -> list[str]:
    """Return the arguments of a command with flags that make it quick; `number` names its folder."""
    if "--mode=prepare" in flags or "--mode=export" in flags:
        return flags
    if flags in (["--list_weights"], ["--clear_cache"]):
        return flags
    if "--mode=train" not in flags:
        on_builtin_photos = "--mode=test" in flags and not {"--input"} & set(flags)
        has_data = any(flag.startswith("--test_data") for flag in flags)
        return [
            *flags,
            *ON_CPU,
            "--engine=torch",
            *(["--test_data=Set5"] if on_builtin_photos and not has_data else []),
        ]
    if "--resume" in flags:
        return [*flags, "--visdom=off"]
    data = [] if any(flag.startswith("--train_data") for flag in flags) else ["--train_data=pictures"]
    output = [] if any(flag.startswith("--output") for flag in flags) else [f"--output=runs/{number}"]
    return [*flags, *SMALL_TRAINING, *ON_CPU, *data, *output]


def run_other(words: list[str]) -> None:
    """Run a program that RUN lists."""
    extras = next(extras for start, extras in RUN.items() if " ".join(words).startswith(start))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words[1:], *extras], env=environment, check=True, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_COMMANDS)
@pytest.mark.usefixtures("examples")
def test_every_command_runs(name: str, capsys: pytest.CaptureFixture):
    for number, words in enumerate(shell_commands(name)):
        flags = flags_of(words)
        if "--mode=export" in words and not importlib.util.find_spec("onnx"):
            continue
        if exception(words) or PARSED_ONLY.get(name, set()).intersection(words):
            continue
        if flags is None:
            run_other(words)
        else:
            code = main.main(small(flags, number))
            assert code == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
