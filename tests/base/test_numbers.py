"""Numbers that callers pass."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from srmd.base.numbers import to_integer, to_real


@pytest.mark.parametrize("five", [5, np.int64(5), np.uint8(5), np.array(5), torch.tensor(5)])
def test_whole_numbers_become_int_and_float(five: Any):
    assert to_integer(five) == to_real(five) == 5
    assert (type(to_integer(five)), type(to_real(five))) == (int, float)


@pytest.mark.parametrize("half", [0.5, np.float16(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)])
def test_other_numbers_become_float_only(half: Any):
    assert (to_integer(half), to_real(half), type(to_real(half))) == (None, 0.5, float)


@pytest.mark.parametrize(
    "other",
    [True, np.False_, np.array(True), torch.tensor(True), "5", None, 5j, np.array([5]), torch.tensor([5]), Decimal(5)],
)
def test_anything_else_is_no_number(other: Any):
    assert to_integer(other) is None
    assert to_real(other) is None


def test_a_number_that_no_float_holds_is_no_real_number():
    assert to_real(10**400) is None
    assert to_integer(10**400) == 10**400
