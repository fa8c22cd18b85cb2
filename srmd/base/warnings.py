"""Warnings of many pictures: the first ones of each kind are logged, the others are counted."""

import logging
import re
from collections import Counter
from threading import Lock

logger = logging.getLogger("srmd")

MAX_LOGGED = 3  # warnings of a kind


def log_warning(label: object, text: str) -> None:
    """Logs a warning of the picture `label`."""
    logger.warning("%s: %s", label, text)


class PictureWarnings:
    """Logs the first MAX_LOGGED warnings of each kind; several threads may add warnings at once.

    Warnings are of one kind if they differ in numbers only.
    """

    def __init__(self):
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._lock = Lock()

    def add(self, label: object, text: str) -> None:
        """Counts a warning of the picture `label`, and logs it if it is among the first of its kind."""
        kind = re.sub(r"\d+", "0", text)
        with self._lock:
            self._counts[kind] += 1
            self._examples.setdefault(kind, text)
            is_logged = self._counts[kind] <= MAX_LOGGED
        if is_logged:
            log_warning(label, text)

    def part(self) -> tuple[Counter[str], dict[str, str]]:
        """The number and an example of each kind, which one of several processes tells the others."""
        return self._counts, self._examples

    def add_part(self, part: tuple[Counter[str], dict[str, str]]) -> None:
        """Adds the warnings of a process, which has logged them."""
        counts, examples = part
        self._counts += counts
        self._examples = examples | self._examples

    def summary(self) -> list[str]:
        """A line for each kind of which not all warnings were logged, with their number and an example."""
        many = {kind: count for kind, count in self._counts.items() if count > MAX_LOGGED}
        return [f"{count} warnings such as: {self._examples[kind]}" for kind, count in many.items()]
