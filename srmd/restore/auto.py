"""What `auto` stands for as kernel and noise level: an estimate, as a kernel and in words."""

from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.kernel.specs import parse_kernels
from srmd.restore.estimate import Estimate
from srmd.weights.shipped import estimator_file


def check_kernel_can_be_estimated(scale: int, downsamplers: set[str]) -> None:
    """Raises InputError if there is no estimator, or if a picture or a network has the direct downsampler.

    Estimates describe the blur before bicubic downsampling.
    """
    estimator_file(scale)
    if "direct" in downsamplers and scale > 1:
        raise InputError("auto works for the bicubic downsampler only: expected a kernel, found auto")


def estimated_kernel(estimate: Estimate, size: int) -> NDArray:
    """The estimated kernel, (k, k), sum 1; a Gaussian has the window size×size of the network."""
    return parse_kernels(estimate.kernel_spec, size)[0]


def describe_estimate(estimate: Estimate, kernel: bool = True, noise_level: bool = True) -> str:
    """An estimate in words, such as `kernel gaussian:1.4 (sure), noise 6`; only what was not known before."""
    parts = []
    if kernel and estimate.is_sure:
        parts.append(f"kernel {estimate.kernel_spec} (sure)")
    elif kernel:
        parts.append("blur can't be estimated, no blur is assumed")
    if noise_level:
        parts.append(f"noise {estimate.noise_level:g}")
    return ", ".join(parts)
