"""What the library says: by logging, and with the names of arguments; flags are the command line's."""

import ast
import logging
import re
from pathlib import Path

import pytest

from srmd.cli.console import log_to_console, name_flags
from srmd.cli.flags import FLAGS

ROOT = Path(__file__).parents[1]
PROGRAMS = {"motion.py", "visdom_server.py"}  # which can be run by themselves, and then print
LIBRARY = [
    path for path in sorted((ROOT / "srmd").rglob("*.py")) if "cli" not in path.parts and path.name not in PROGRAMS
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
def test_arguments_become_flags_on_the_command_line(message: str, expected: str):
    assert name_flags(message) == expected


def test_messages_are_printed_once_and_warnings_say_so(capsys: pytest.CaptureFixture):
    for _ in range(2):
        log_to_console()
    logging.getLogger("srmd").info("%s to go", 3)
    logging.getLogger("srmd").warning("`kernel` shifts")
    assert capsys.readouterr().out == "3 to go\nwarning: --kernel shifts\n"
