"""The house as the README lists it: every room has its floor, and none imports from above."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def floors() -> dict[str, int]:
    rows = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {room: int(floor) for floor, files in rows for room in re.findall(r"`(\w+)\.py`", files)}


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def test_every_room_is_listed_and_none_imports_from_above():
    floor = floors()
    assert floor.keys() == {path.stem for path in ROOT.glob("*.py")}
    above = {
        (room, other)
        for room in floor
        for other in imported(ROOT / f"{room}.py") & floor.keys()
        if floor[other] > floor[room]
    }
    assert not above
