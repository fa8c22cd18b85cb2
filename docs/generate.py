"""Writes the generated parts of the documents: the flags, and the table of files.

    python -m docs.generate

`docs/flags.md` is made from the flags in `srmd/cli/`. The table of files in `docs/architecture.md` is made from the
layers in `pyproject.toml` and the first sentence of each file's docstring. A test compares both with what is on disk.
"""

import ast
import re
import textwrap
import tomllib
from pathlib import Path

from srmd.cli.flags import GROUPS, MODES, NOTES, Flag, default

ROOT = Path(__file__).parents[1]
FLAGS_PAGE = ROOT / "docs" / "flags.md"
ARCHITECTURE_PAGE = ROOT / "docs" / "architecture.md"
WIDTH = 120  # characters of a line
FILES_START = "<!-- files -->"
FILES_END = "<!-- end of files -->"
USAGE = {  # the argument of a flag, by argparse's nargs
    None: "--{name} {metavar}",
    "+": "--{name} {metavar} ...",
    "?": "--{name}[={metavar}]",
}
INTRODUCTION = """# Flags

This page is generated from the flags in `srmd/cli/` by `python -m docs.generate`.
`python main.py --mode=MODE --help` prints the same texts for one mode, `python main.py` alone lists the modes. The
installed command `srmd` takes the same flags. Three flags need no mode: `--version` prints the version,
`--list_weights` the networks of the package with their scores, and `--clear_cache` empties the package's cache folder.

- Flags and values are joined by `=` or a space: `--steps=100`, `--steps 100`.
- A flag that the mode does not use is an error.
- Pictures without a mode are restored: `python main.py photo.png --kernel=gaussian:1.3` is short for
  `python main.py --mode=test --input photo.png --kernel=gaussian:1.3`.
- [restoring.md](restoring.md) explains the flags for folders of pictures.
- Words such as LR, HR, kernel and width are explained in the [glossary](glossary.md).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the work failed, or some pictures were left out |
| 2 | something is wrong with the request; one line on stderr names the flag and the value found |
| 129, 130, 143 | stopped by SIGHUP, Ctrl-C or SIGTERM; training saves a checkpoint first, restoring can be continued |
| 141 | the program that reads the output has closed the pipe |
"""


def flags_page() -> str:
    """Return docs/flags.md: a table for each group of flags."""
    return "\n".join([INTRODUCTION, *(_section(title, flags) for title, flags in GROUPS.items())])


def _section(title: str, flags: tuple[Flag, ...]) -> str:
    note = f"{textwrap.fill(NOTES[title], WIDTH)}\n\n" if title in NOTES else ""
    return f"## {title}\n\n{note}{_flag_table(flags)}\n"


def _flag_table(flags: tuple[Flag, ...]) -> str:
    lines = ["| flag | modes | meaning | default |", "|---|---|---|---|"]
    for flag in flags:
        cells = [f"`{_usage(flag)}`", ", ".join(flag.modes), flag.help, _stated_default(flag)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _usage(flag: Flag) -> str:
    pattern = USAGE[flag.options.get("nargs")]
    return pattern.format(name=flag.name, metavar=flag.options.get("metavar", "")).strip()


def _stated_default(flag: Flag) -> str:
    """Return the default; where the modes differ, that of each mode."""
    defaults = {mode: default(flag, mode) for mode in MODES if mode in flag.modes}
    if len(set(defaults.values())) == 1:
        return next(iter(defaults.values()))
    return "; ".join(f"{mode}: {text}" for mode, text in defaults.items())


def file_table() -> str:
    """Return the table of the package's files, from the top layer to the bottom one."""
    lines = ["| layer | file | what it contains |", "|---|---|---|"]
    for layer, path in sorted(_files_with_layers(), key=lambda item: (-item[0], item[1])):
        lines.append(f"| {layer} | `{path}` | {_summary(path)} |")
    return "\n".join(lines)


def _summary(path: str) -> str:
    """Return the first sentence of a file's docstring."""
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    sentence = re.split(r"\.\s+(?=[A-Z])", paragraph)[0]
    return sentence.replace("|", "\\|").rstrip(".:")


def _files_with_layers() -> list[tuple[int, str]]:
    """Return the layer, counted from 1 at the bottom, and the path of each module."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = reversed(contracts[0]["layers"])
    layer_of = {name: number for number, names in enumerate(layers, 1) for name in re.findall(r"\w+", names)}
    paths = [path.relative_to(ROOT) for path in (ROOT / "srmd").rglob("*.py") if not path.stem.startswith("__")]
    return [(layer_of[path.with_suffix("").parts[1]], path.as_posix()) for path in paths]


def architecture_page() -> str:
    """Return docs/architecture.md with a current table of files."""
    before, _, rest = ARCHITECTURE_PAGE.read_text(encoding="utf-8").partition(FILES_START)
    _, _, after = rest.partition(FILES_END)
    return f"{before}{FILES_START}\n\n{file_table()}\n\n{FILES_END}{after}"


if __name__ == "__main__":
    FLAGS_PAGE.write_text(flags_page(), encoding="utf-8")
    ARCHITECTURE_PAGE.write_text(architecture_page(), encoding="utf-8")
