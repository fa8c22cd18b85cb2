"""Specifications of kernels."""

import numpy as np
import pytest

from plain_kernels import gaussian_by_loops, parse_kernel
from srmd.base.errors import InputError
from srmd.kernel import families, specs

BAD_SPECS = ["", "gauss", "gaussian", "absent.mat", "absent.npy", "kernel.jpg", "gaussian:", "gaussian:wide"]
BAD_SPECS += [f"gaussian:{x}" for x in ("0", "-1", "nan", "inf", "1,2", "2,1,30,4", "2,0,30", "1,2,30", "2,1,nan")]


def test_specifications_of_delta_and_gaussians_are_parsed():
    np.testing.assert_array_equal(parse_kernel("delta"), families.delta())
    np.testing.assert_allclose(parse_kernel("gaussian:1.3"), gaussian_by_loops(1.3, 1.3, 0), atol=1e-14)
    np.testing.assert_allclose(parse_kernel("gaussian:2.6,1.0,30"), gaussian_by_loops(2.6, 1, 30), atol=1e-14)


def test_the_mean_width_of_a_specification_is_geometric():
    widths = {"delta": 0, "gaussian:1.3": 1.3, "gaussian:2,0.5,30": 1}
    assert {spec: specs.mean_width(spec) for spec in widths} == pytest.approx(widths)


@pytest.mark.parametrize("spec", BAD_SPECS)
def test_an_invalid_specification_is_refused_in_one_line_that_contains_it(spec):
    with pytest.raises(InputError) as error:
        specs.parse_kernels(spec)
    assert spec in str(error.value)
    assert "\n" not in str(error.value)
