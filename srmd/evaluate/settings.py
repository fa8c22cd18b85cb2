"""Resolves a test's request: completes it with the values that depend on the weights."""

from dataclasses import replace

from srmd.base.errors import InputError, prefix_errors
from srmd.config import NamedDegradation, NamedKernel, TestRequest, TestSettings
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.specs import parse_kernels
from srmd.kernel.window import fit_kernel
from srmd.restore.equivalent import equivalent_kernel
from srmd.restore.restorer import check_self_ensemble
from srmd.weights.files import Weights


def resolve_settings(request: TestRequest, weights: Weights) -> TestSettings:
    """The settings of a test; raises InputError if the request does not suit the network."""
    config = weights.network.config
    if request.scale_factor not in (None, config.scale):
        expected = f"expected {config.scale}, the scale of {request.weights}"
        raise InputError(f"{expected}, found {request.scale_factor}", "scale_factor")
    if request.self_ensemble:
        check_self_ensemble(config.scale, weights.downsampler)
    kernels = [_enlarge_gaussian(kernel, config.kernel_size) for kernel in request.kernel]
    noise = request.noise_map or request.noise_level
    applied = NamedDegradation(kernels, noise, request.regions, request.region_blend)
    if request.input and applied.has_noise and "noise" not in config.conditions:
        argument = "noise_map" if request.noise_map else "noise_level"
        found = request.noise_map.path if request.noise_map else f"{request.noise_level:g}"
        raise InputError(f"{request.weights} (SRMDNF) takes no noise level, found {found}", argument)
    downsampler = request.downsampler or weights.downsampler
    return TestSettings(request, applied, _assumed(request, applied, downsampler, weights), downsampler)


def _assumed(request: TestRequest, applied: NamedDegradation, downsampler: str, weights: Weights) -> NamedDegradation:
    """The degradation that the network is told.

    It is the applied one, unless the request assumes another kernel or noise level. If the network was trained for
    bicubic downsampling and the direct downsampler is applied, the kernels are replaced by equivalent ones.
    """
    config, assumed = weights.network.config, applied
    if request.assumed_kernel:
        kernel = _enlarge_gaussian(request.assumed_kernel, config.kernel_size)
        assumed = replace(assumed, kernels=[kernel], regions=None)
    elif (downsampler, weights.downsampler) == ("direct", "bicubic") and config.scale > 1:
        with prefix_errors("kernel"):
            equivalents = [_equivalent(kernel, config.scale, config.kernel_size) for kernel in applied.kernels]
        assumed = replace(assumed, kernels=equivalents)
    with prefix_errors("assumed_kernel" if request.assumed_kernel else "kernel"):
        for kernel in assumed.kernels:
            # Raises InputError if most of the kernel lies outside of the window.
            fit_kernel(kernel.array, config.kernel_size)
    if request.assumed_noise_level is not None:
        assumed = replace(assumed, noise=request.assumed_noise_level)
    return assumed


def _enlarge_gaussian(kernel: NamedKernel, size: int) -> NamedKernel:
    """The kernel, recomputed as size×size if it is a Gaussian and the network's window is larger than 15×15.

    A Gaussian loses less at the edges of a larger window.
    """
    if size > KERNEL_SIZE and kernel.spec.startswith("gaussian:"):
        return replace(kernel, array=parse_kernels(kernel.spec, size)[0])
    return kernel


def _equivalent(kernel: NamedKernel, scale: int, size: int) -> NamedKernel:
    """The kernel for bicubic downsampling that is equivalent to a kernel for the direct downsampler."""
    equivalent = equivalent_kernel(kernel.array, scale, size)
    return NamedKernel(f"equivalent to {kernel.spec}", equivalent, may_shift=True)
