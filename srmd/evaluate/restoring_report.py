"""What a run over LR pictures reports: warnings, pictures that were left out, and the summary."""

import logging
import threading
import time
from collections import Counter
from pathlib import Path

from srmd.base.errors import InputError
from srmd.base.files import on_one_line
from srmd.base.warnings import PictureWarnings
from srmd.config import STANDARD_STREAM, TestRequest
from srmd.evaluate.results import RestoringJob, RestoringPlan
from srmd.pictures.formats import format_of

logger = logging.getLogger("srmd")

MAX_NAMED = 10  # left out pictures that the summary names; metrics.json names all
MAX_ASPECT_CHANGE = 0.01  # a final size that distorts a picture by more is warned of
LOSSES = {
    "transparency": "no transparency: it is laid on white",
    "16 bits": "8 bits per channel for this picture, not 16",
    "more than 256 colours": "at most 256 colours",
}


class RestoringReport:
    """Counts and messages of a run.

    Attributes:
        restored: a row for each result of this run.
        warnings: of what was read and written.
        left_out: by label or path, the reason for each picture that was left out and each folder that cannot be listed.
        count: pictures that the request names, and folders that cannot be listed.
    """

    def __init__(self, request: TestRequest, plan: RestoringPlan, skipped: int):
        self._request, self._skipped = request, skipped
        self.restored: list[dict] = []
        self.left_out = {str(folder): reason for folder, reason in plan.left_out.items()}
        self.count = len(plan.jobs) + len(plan.left_out)
        self._lost: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._lock = threading.Lock()  # several threads write results
        self.warnings = PictureWarnings()
        self._start = time.monotonic()

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures were restored, skipped and left out."""
        return {"restored": len(self.restored), "skipped": self._skipped, "left_out": len(self.left_out)}

    def part(self) -> tuple:
        """What one of several processes tells the others."""
        return self.restored, self.left_out, self._lost, self.warnings.part()

    def merge(self, parts: list[tuple]) -> None:
        """Replaces what this process has found by what all have, given the `part` of each."""
        self.restored, self.left_out, self._lost, self.warnings = [], {}, Counter(), PictureWarnings()
        for restored, left_out, lost, warnings in parts:
            self.restored += restored
            self.left_out |= left_out
            self._lost += lost
            self.warnings.add_part(warnings)

    def note(self, job: RestoringJob, error: Exception) -> str:
        """Notes a picture that cannot be read or written; returns the reason."""
        is_from_system = isinstance(error, OSError) and error.strerror  # its text would repeat the path
        reason = error.strerror if is_from_system else str(error).removeprefix(f"{job.source}: ")
        self.left_out[job.label] = reason
        return reason

    def leave_out(self, job: RestoringJob, error: Exception) -> None:
        """Notes a picture that cannot be read or written, and warns of it."""
        reason = self.note(job, error)
        if self.count > 1:  # the reason for a single picture is the error message of the command
            logger.warning("left out: %s: %s", job.label, InputError(reason))

    def warn_of_loss(self, job: RestoringJob, lost: list[str]) -> None:
        """Warns of what the format of a result cannot hold."""
        for what in lost:
            with self._lock:
                self._lost[what] += 1
            self._warn_once(what, f"{job.label}: {format_of(Path(job.file))} has {LOSSES[what]}")

    def warn_of_size(self, job: RestoringJob, size: tuple[int, int], new_size: tuple[int, int], scale: int) -> None:
        """Warns if the final size distorts a picture, or is larger than what the network makes of it.

        `size` and `new_size` are height and width of LR and of the result.
        """
        factors = [new / old for new, old in zip(new_size, size, strict=True)]
        one_pixel = max(1 / side for side in new_size)  # relative; the final size is rounded to whole pixels
        if max(factors) > min(factors) * (1 + MAX_ASPECT_CHANGE + one_pixel):
            (height, width), (new_height, new_width) = size, new_size
            text = f"{job.label}: {width}×{height} becomes {new_width}×{new_height}, which distorts it"
            self._warn_once("distortion", text)
        if max(factors) > scale * (1 + one_pixel):
            does = f"enlarges by {scale} only" if scale > 1 else "keeps the size"
            self._warn_once("scale", f"{job.label}: the network {does}; bicubic resizing does the rest")

    def _warn_once(self, kind: str, text: str) -> None:
        """Logs the first warning of a kind only, because a folder may hold thousands of such pictures."""
        with self._lock:
            is_first = kind not in self._warned
            self._warned.add(kind)
        if is_first:
            logger.warning("%s", text)

    def summary(self) -> str:
        """What was done, a line for each kind."""
        message, arguments = self._summary()
        return message % tuple(arguments)

    def log_summary(self, state: str = "") -> None:
        """Logs the summary; `state` comes in front of it."""
        message, arguments = self._summary()
        logger.info(state + message, *arguments)

    def _summary(self) -> tuple[str, list]:
        """The format and the arguments of the summary; the reasons are InputError, in which the console names flags."""
        seconds = time.monotonic() - self._start
        lines = [("restored %d of %d in %.1f s", len(self.restored), self.count, seconds)]
        if self._skipped:
            lines.append(("skipped %d, which were restored before with equal settings", self._skipped))
        lines += [("%d lost %s", count, what) for what, count in self._lost.items()]
        lines += [("%s", line) for line in self.warnings.summary()]
        if self.left_out:
            lines.append(("left out %d:", len(self.left_out)))
            named = list(self.left_out.items())[:MAX_NAMED]
            lines += [("  %s: %s", label, InputError(reason)) for label, reason in named]
        if len(self.left_out) > MAX_NAMED:
            lines.append(("  and %d more", len(self.left_out) - MAX_NAMED))
        if self.restored or self._skipped:
            if self._request.result:
                lines.append(("The result is %s", self._request.result))
            elif self._request.output != STANDARD_STREAM:
                lines.append(("Pictures and metrics.json are in %s", self._request.output))
        return "\n".join(line for line, *_ in lines), [value for _, *values in lines for value in values]

    def raise_if_left_out(self) -> None:
        """Raises InputError if there is no result, RuntimeError if pictures were left out."""
        if not self.left_out:
            return
        if self.restored or self._skipped:
            raise RuntimeError(f"{len(self.left_out)} of {self.count} pictures were left out: {self._left_out_names()}")
        if self.count > 1:
            raise InputError(f"expected pictures that can be read, found none: {self._left_out_names()}", "input")
        ((label, reason),) = self.left_out.items()
        raise InputError(f"{label}: {reason}", "input")

    def _left_out_names(self) -> str:
        names = list(self.left_out)
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return ", ".join(map(on_one_line, names[:MAX_NAMED])) + more
