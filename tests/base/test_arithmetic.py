"""Integer arithmetic."""

import pytest

from srmd.base.arithmetic import ceil_div


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (2**62 + 1, 2, 2**61 + 1)]
)
def test_ceil_div_rounds_up(numerator, denominator, quotient):
    assert ceil_div(numerator, denominator) == quotient
