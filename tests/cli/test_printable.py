"""Names of files never reach the terminal as commands, and unusual values of flags are errors of one line."""

from pathlib import Path

import pytest

from srmd.cli.console import printable
from srmd.cli.main import main

pytestmark = pytest.mark.usefixtures("folder_with_files")
ESCAPE = "\x1b[31m\x9b2J\u202e"


def test_control_characters_are_escaped_but_letters_and_lines_stay():
    assert printable(f"a{ESCAPE}\nß 猫 👩‍🔬") == "a\\x1b[31m\\x9b2J\\u202e\nß 猫 👩‍🔬"


def test_a_broken_picture_is_named_without_escape_sequences(capfd: pytest.CaptureFixture):
    Path("many").mkdir()
    for name in ("a", "b"):
        Path(f"many/{name}{ESCAPE}.png").write_bytes(b"no picture")
    assert main(["many", "--kernel=delta", "--device=cpu"]) == 2
    assert main(["--mode=prepare", "--train_data=many", "--output=a.h5"]) == 2
    text = "".join(capfd.readouterr())
    assert "a\\x1b[31m" in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text


def test_the_line_of_a_picture_is_one_line_also_if_its_name_has_several(capfd: pytest.CaptureFixture):
    Path("two\nlines.png").write_bytes(Path("red.png").read_bytes())
    assert main(["two\nlines.png", "--dry_run", "--output=new\nfolder"]) == 0
    assert "two\\nlines.png -> new\\nfolder/two\\nlines.png (20×20 -> 40×40)\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--mode=train", "--train_data=--"], "train_data"),
        (["red.png", "--kernel=--"], "kernel"),
        (["--mode=train", f"--output={'a/' * 2100}"], "output"),
        (["red.png", "--kernel=delta", f"--output={'a/' * 2100}"], "output"),
        (["red.png", "--kernel=delta", "--output=a\0b"], "output"),
        (["--mode=prepare", f"--output={'a/' * 2100}a.h5"], "output"),
        (["red.png", f"--kernel={'a/' * 2100}.mat"], "kernel"),
        (["a/" * 2100, "--kernel=delta"], "input"),
        (["--mode=train", f"--resume={'a/' * 2100}"], "resume"),
        (["--mode=train", f"--train_data={ESCAPE}"], "train_data"),
    ],
)
def test_unusual_values_are_errors_that_name_the_flag(arguments: list[str], flag: str, capsys: pytest.CaptureFixture):
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"--{flag}: ")
    assert message.count("\n") == 1
    assert "\x1b" not in message
