"""Numbers that callers pass: Python's and NumPy's own, and arrays and tensors of a single number without axes."""

from numbers import Integral, Real
from typing import Any


def to_real(value: Any) -> float | None:
    """A real number as float; None for anything else, also for True and False."""
    value = _without_array(value)
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None


def to_integer(value: Any) -> int | None:
    """A whole number as int; None for anything else, also for floats, True and False."""
    value = _without_array(value)
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def _without_array(value: Any) -> Any:
    """The number in a NumPy number, or in an array or tensor without axes; other values unchanged."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
