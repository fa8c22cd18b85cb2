"""The networks in weights/ that the trainings of `benchmarks/` make, and what each of them starts from."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATCH_SIZE = 48  # side of a training patch, LR pixels


@dataclass(frozen=True)
class Plan:
    """A network to train."""

    name: str
    scale: int
    noise_free: bool
    sources: tuple[str, ...]  # shipped networks that it may start from, the best one first
    time_weight: float  # its share of the time budget is this, divided by the sum over the networks that are left

    def source(self) -> str | None:
        """Return the name of the shipped network that it starts from; None: an untrained network."""
        return next((name for name in self.sources if shipped(name).exists()), None)


PLANS = (
    Plan("srmd_x2", 2, False, ("srmd_x2", "srmdnf_x2"), 4),
    Plan("srmd_x4", 4, False, ("srmd_x4", "srmd_x2"), 3),
    Plan("srmdnf_x2", 2, True, ("srmdnf_x2", "srmd_x2"), 2),
    Plan("srmdnf_x4", 4, True, ("srmdnf_x4", "srmd_x4"), 2),
    Plan("srmd_x3", 3, False, ("srmd_x3", "srmd_x2"), 2.5),
    Plan("srmdnf_x3", 3, True, ("srmdnf_x3", "srmd_x3"), 1.5),
    Plan("srmd_x1", 1, False, ("srmd_x1", "srmd_x2"), 1),
)


def shipped(name: str) -> Path:
    """Return the path of a shipped network."""
    return ROOT / "weights" / f"{name}.safetensors"
