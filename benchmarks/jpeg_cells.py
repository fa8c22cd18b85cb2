"""What is measured of networks that are told of JPEG: the degradations, and the columns of the tables."""

from dataclasses import dataclass
from functools import cached_property

from numpy.typing import NDArray

from srmd.degradation import degrade_picture

KERNELS = ("delta", "gaussian:1.3")
QUALITIES, GREY_QUALITIES = (30, 50, 75, 90), (10, 20, 30, 40)
ERRORS = (-30, -20, -10, 10, 20, 30)  # of qualities that are told wrongly
BICUBIC, TOLD, UNTOLD, NOISE = "bicubic", "told", "untold", "noise"


@dataclass(frozen=True)
class Cell:
    """Pictures, and the degradation that is applied to them."""

    data: str
    kernel: str
    quality: int
    hr: list[NDArray]
    scale: int

    @cached_property
    def lr(self) -> list[NDArray]:
        """The compressed pictures."""
        return [degrade_picture(hr, self.kernel, scale=self.scale, jpeg=self.quality) for hr in self.hr]


def told(error: int) -> str:
    """The column of tables whose quality is wrong by `error`, such as -20."""
    return f"{TOLD} {error:+d}"


def told_quality(quality: int, error: int) -> int:
    """The quality that is told in place of the true one: 1 to 100."""
    return min(max(quality + error, 1), 100)


def assumed_noise(level: int) -> str:
    """The column of a noise level that is assumed instead of JPEG."""
    return f"{NOISE} {level}"
