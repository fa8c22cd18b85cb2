"""The time that a run has taken over all its jobs, and the learning rate that follows from it.

A job is one call of the command. Its time begins when its process does, so that jobs of ten minutes each end
the run when they are planned to, however long loading and compiling take.
"""

import math
from dataclasses import dataclass
from time import monotonic

STARTED = monotonic()  # about when the process began: this module is imported before torch
WARM_UP_SHARE = 0.01  # share of the training's time in which the learning rate rises


@dataclass
class Clock:
    """The times of a run, in seconds."""

    total: float  # time of all jobs together
    job: float  # maximum time of this job
    before: float = 0.0  # time of the earlier jobs, up to the state that this one continues from
    begin: float | None = None  # time at the run's first training step; before it, there is only loading

    def elapsed(self) -> float:
        """Return the time of all jobs so far."""
        return self.before + since_start()

    def begin_training(self) -> None:
        """Call this before the first step of a job; the first job's call begins the schedule."""
        if self.begin is None:
            self.begin = self.elapsed()

    def share(self) -> float:
        """Return the share of the training's time that is over, 0 to 1."""
        return min((self.elapsed() - self.begin) / max(self.total - self.begin, 1e-9), 1)

    def is_finished(self) -> bool:
        """Return whether the time of the whole run is over."""
        return self.elapsed() >= self.total

    def is_over(self) -> bool:
        """Return whether this job or the whole run is over."""
        return self.is_finished() or since_start() >= self.job


def since_start() -> float:
    """Return the time of this job in seconds."""
    return monotonic() - STARTED


def learning_rate(peak: float, share: float) -> float:
    """Return the learning rate when a share, 0 to 1, of the time is over: a warm-up, and a cosine that ends at zero."""
    return peak * min(share / WARM_UP_SHARE, 1) * (1 + math.cos(math.pi * share)) / 2
