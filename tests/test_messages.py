"""The library logs, and its messages name arguments; only the command line prints, and names flags."""

import ast
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.cli.console import log_to_console, name_flags
from srmd.cli.flags import FLAGS
from srmd.cli.main import main
from terminals import read_to_end

ROOT = Path(__file__).parents[1]
PROGRAMS = {"motion.py", "visdom_server.py"}  # modules with a command line of their own, which print
# The page in the browser shows the command line that does the same.
COMMAND_OF_THE_PAGE = ROOT / "srmd" / "panel" / "command.py"
LIBRARY = [
    path
    for path in sorted((ROOT / "srmd").rglob("*.py"))
    if "cli" not in path.parts and path.name not in PROGRAMS and path != COMMAND_OF_THE_PAGE
]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_names_no_flag_and_prints_nothing(path: Path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    flags = {f"--{flag.name}" for flag in FLAGS}
    assert not {word for text in texts for word in re.findall(r"--[a-z_]+", text)} & flags
    calls = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert "print" not in calls


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("start with a lower `lr`", "start with a lower --lr"),
        ("`resume=runs/a b` goes on", "--resume=runs/a b goes on"),
        ("`kernel_size=31` and `pca_dim`", "--kernel_size=31 and --pca_dim"),
        ("`no_flag` stays, and so does kernel", "`no_flag` stays, and so does kernel"),
    ],
)
def test_argument_names_in_messages_become_flags(message: str, expected: str):
    assert name_flags(message) == expected


def test_messages_are_printed_once_and_warnings_are_marked(capsys: pytest.CaptureFixture):
    for _ in range(2):
        log_to_console()
    logging.getLogger("srmd").info("%s to go", "`lr`")  # names are replaced in the message, not in its arguments
    logging.getLogger("srmd").warning("`kernel` shifts")
    assert capsys.readouterr().out == "`lr` to go\nwarning: --kernel shifts\n"


def test_the_argument_of_an_error_in_a_message_becomes_a_flag(capsys: pytest.CaptureFixture):
    log_to_console()
    logging.getLogger("srmd").warning("left out: %s", InputError("b.png: a broken picture", "input"))
    assert capsys.readouterr().out == "warning: left out: --input: b.png: a broken picture\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("--mode=test --weights=text", 2), pytest.param("--mode=prepare", 0, marks=pytest.mark.slow)],
)
def test_no_progress_bar_is_drawn_on_a_terminal_before_there_is_progress(
    arguments: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("no weights")
    primary, secondary = os.openpty()
    with open(secondary, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert main(arguments.split()) == code
    output = read_to_end(primary)
    assert output.startswith(b"--weights: text" if code else b"")
    assert output.count(b"\n") == (1 if code else 0)
