"""`Flag`: a flag of the command line."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Flag:
    """A flag: its name, the modes that take it, its help text, and further arguments of `add_argument`."""

    name: str
    modes: tuple[str, ...]
    help: str
    options: dict[str, Any]


ON = {"action": "store_true"}
ALL_MODES = ("train", "test", "prepare", "export", "panel")
