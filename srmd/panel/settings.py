"""The settings of the page: numbers within bounds, each of which may be left to what was found in the picture."""

import math
import numbers
from dataclasses import dataclass
from typing import NamedTuple

from srmd.base.errors import InputError
from srmd.config import AUTO, OFF, Auto, Off
from srmd.restore.estimate import Estimate

SCALES = (1, 2, 3, 4)
MIN_WIDTH = 0.05  # HR pixels; the second width of a Gaussian is above 0


class Bounds(NamedTuple):
    """The smallest and the largest value of a setting, and the step of its slider."""

    minimum: float
    maximum: float
    step: float


BOUNDS = {
    "width": Bounds(0, 8, 0.01),  # HR pixels; 0: no blur
    "second_width": Bounds(0, 8, 0.01),
    "angle": Bounds(0, 180, 1),  # degrees
    "noise_level": Bounds(0, 100, 0.1),  # of 255
    "quality": Bounds(1, 100, 1),  # of a JPEG
    "file_quality": Bounds(1, 100, 1),
}
NUMBERS = ("width", "second_width", "angle", "noise_level")


@dataclass(frozen=True)
class Settings:
    """What a person has set; None stands for `auto`. Raises InputError, which names the setting, for other values."""

    scale: int = 2
    width: float | None = None
    second_width: float | None = None
    angle: float | None = None
    noise_level: float | None = None
    jpeg: int | Auto | Off = AUTO

    def __post_init__(self) -> None:
        if type(self.scale) is not int or self.scale not in SCALES:
            raise InputError(f"expected 1, 2, 3 or 4, found {self.scale!r}", "scale")
        for name in NUMBERS:
            if getattr(self, name) is not None:
                checked_number(name, getattr(self, name))
        if self.jpeg not in (AUTO, OFF):
            whole_number("quality", self.jpeg)

    @property
    def is_auto(self) -> bool:
        """Whether blur and noise level are those that were found."""
        return all(getattr(self, name) is None for name in NUMBERS)


def checked_number(name: str, value: object) -> float:
    """A number within the bounds of a setting; raises InputError, which names the setting."""
    low, high, _ = BOUNDS[name]
    return number_between(name, value, low, high)


def number_between(name: str, value: object, low: float, high: float) -> float:
    """A number from `low` to `high`; raises InputError with a name for others."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        found = "nothing" if value is None else repr(value)
        raise InputError(f"expected a number from {low:g} to {high:g}, found {found}", name)
    return float(value)


def whole_number(name: str, value: object) -> int:
    """A whole number within the bounds of a setting; raises InputError, which names the setting."""
    number = checked_number(name, value)
    if number != int(number):
        raise InputError(f"expected a whole number, found {value!r}", name)
    return int(number)


class Blur(NamedTuple):
    """A Gaussian blur: two widths in HR pixels, and the angle of the first one's axis in degrees."""

    width: float
    second_width: float
    angle: float

    @property
    def kernel_spec(self) -> str:
        """The kernel as `delta`, `gaussian:W` or `gaussian:W1,W2,ANGLE`, with W1 ≥ W2."""
        wide, narrow, angle = self
        if narrow > wide:
            wide, narrow, angle = narrow, wide, angle + 90
        if wide == 0:
            return "delta"
        narrow = max(narrow, MIN_WIDTH)
        if wide <= narrow:
            return f"gaussian:{wide:g}"
        return f"gaussian:{wide:g},{narrow:g},{angle % 180:g}"


def chosen_blur(settings: Settings, found: Estimate) -> Blur:
    """The blur of the settings. If only the width is set, the second width equals it."""
    if settings.width is None:
        width, second_width = found.widths
    else:
        width = second_width = round(settings.width, 2)
    if settings.second_width is not None:
        second_width = round(settings.second_width, 2)
    angle = found.angle if settings.angle is None else settings.angle
    return Blur(width, second_width, angle)


def chosen_kernel(settings: Settings, found: Estimate) -> str:
    """The kernel of the settings; what was found is told in the words of the estimate, which calls a tiny blur none."""
    if settings.width is settings.second_width is settings.angle is None:
        return found.kernel_spec
    return chosen_blur(settings, found).kernel_spec


def chosen_noise_level(settings: Settings, found: Estimate) -> float:
    """The noise level of the settings, 0 to 255."""
    return found.noise_level if settings.noise_level is None else round(settings.noise_level, 1)
