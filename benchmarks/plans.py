"""The networks in weights/ that the trainings of `benchmarks/` make, and what each of them starts from."""

from dataclasses import dataclass
from pathlib import Path

from srmd.kernel.families import KERNEL_SIZE, WIDE_KERNEL_SIZE

ROOT = Path(__file__).parents[1]
PATCH_SIZE = 48  # side of a training patch, LR pixels


@dataclass(frozen=True)
class Plan:
    """A network to train."""

    name: str
    scale: int
    conditions: tuple[str, ...]
    sources: tuple[str, ...]  # shipped networks that it may start from, the best one first
    time_weight: float  # its share of the time budget is this, divided by the sum over the networks that are left
    kernel_size: int = KERNEL_SIZE  # side of the kernel window, HR pixels

    def source(self) -> str | None:
        """Return the name of the shipped network that it starts from; None: an untrained network."""
        return next((name for name in self.sources if shipped(name).exists()), None)


KERNEL, NOISE, JPEG = ("kernel",), ("kernel", "noise"), ("kernel", "noise", "jpeg")  # what networks are told
PLANS = (
    Plan("srmd_x2", 2, NOISE, ("srmd_x2", "srmdnf_x2"), 4),
    Plan("srmd_x4", 4, NOISE, ("srmd_x4", "srmd_x2"), 3, WIDE_KERNEL_SIZE),
    Plan("srmdnf_x2", 2, KERNEL, ("srmdnf_x2", "srmd_x2"), 2),
    Plan("srmdnf_x4", 4, KERNEL, ("srmdnf_x4", "srmd_x4"), 2, WIDE_KERNEL_SIZE),
    Plan("srmd_x3", 3, NOISE, ("srmd_x3", "srmd_x2"), 2.5, WIDE_KERNEL_SIZE),
    Plan("srmdnf_x3", 3, KERNEL, ("srmdnf_x3", "srmd_x3"), 1.5, WIDE_KERNEL_SIZE),
    Plan("srmd_x1", 1, NOISE, ("srmd_x1", "srmd_x2"), 1),
    Plan("srmdj_x2", 2, JPEG, ("srmdj_x2", "srmd_x2"), 3),
    Plan("srmdj_x1", 1, JPEG, ("srmdj_x1", "srmd_x1"), 2),
    Plan("srmdj_x4", 4, JPEG, ("srmdj_x4", "srmd_x4"), 2.5, WIDE_KERNEL_SIZE),
    Plan("srmdj_x3", 3, JPEG, ("srmdj_x3", "srmd_x3"), 2, WIDE_KERNEL_SIZE),
)


def shipped(name: str) -> Path:
    """Return the path of a shipped network."""
    return ROOT / "weights" / f"{name}.safetensors"
