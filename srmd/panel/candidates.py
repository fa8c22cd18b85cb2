"""Candidates: settings around the present ones, to choose from by eye."""

from dataclasses import dataclass, replace

from srmd.kernel.specs import mean_width
from srmd.panel.settings import BOUNDS, Settings

CANDIDATE_SIDE = 192  # SR pixels
WIDTH_STEPS = (-0.6, -0.3, 0.0, 0.3)  # HR pixels; too wide a kernel costs more than one that is too narrow
COLUMNS = len(WIDTH_STEPS)
MIN_NOISE_STEP = 3.0


@dataclass(frozen=True)
class Candidate:
    """Settings with their number, counted from 1, and in words."""

    number: int
    label: str
    settings: Settings


def candidate_settings(
    settings: Settings, kernel_spec: str, noise_level: float, takes_noise_level: bool
) -> list[Candidate]:
    """Isotropic widths and noise levels around what a network is told now: a row for each noise level.

    A network that takes no noise level has one row.
    """
    levels = _noise_levels(noise_level) if takes_noise_level else (None,)
    candidates = []
    for level in levels:
        for width in _widths(kernel_spec):
            noise = f", noise {level:g}" if level is not None else ""
            chosen = replace(settings, width=width, second_width=None, angle=None, noise_level=level)
            number = len(candidates) + 1
            candidates.append(Candidate(number, f"{number}: width {width:g}{noise}", chosen))
    return candidates


def _widths(kernel_spec: str) -> list[float]:
    """Widths around the mean width of a kernel; they start at 0, no blur, where it is narrow."""
    width = mean_width(kernel_spec)
    first = max(width + WIDTH_STEPS[0], 0.0)
    return [round(min(first + step - WIDTH_STEPS[0], BOUNDS["width"].maximum), 2) for step in WIDTH_STEPS]


def _noise_levels(noise_level: float) -> tuple[float, float, float]:
    """A lower level, the level itself and a higher one; without noise 0 and two higher ones."""
    step = max(noise_level / 2, MIN_NOISE_STEP)
    first = max(noise_level - step, 0.0)
    return tuple(round(min(first + i * step, BOUNDS["noise_level"].maximum), 1) for i in range(3))
