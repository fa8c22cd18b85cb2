"""Resolves a test's request: completes it with the values that depend on the weights."""

from dataclasses import replace

from srmd.base.errors import InputError, prefix_errors
from srmd.config import AUTO, OFF, Auto, NamedDegradation, NamedKernel, NamedMap, TestRequest, TestSettings
from srmd.kernel.families import KERNEL_SIZE
from srmd.kernel.specs import parse_kernels
from srmd.kernel.window import fit_kernel
from srmd.restore.auto import check_kernel_can_be_estimated
from srmd.restore.equivalent import equivalent_kernel
from srmd.restore.restorer import check_self_ensemble
from srmd.weights.files import Weights
from srmd.weights.shipped import estimator_file


def resolve_settings(request: TestRequest, weights: Weights) -> TestSettings:
    """The settings of a test; raises InputError if the request does not suit the network."""
    config = weights.network.config
    if request.scale_factor not in (None, config.scale):
        expected = f"expected {config.scale}, the scale of {request.weights}"
        raise InputError(f"{expected}, found {request.scale_factor}", "scale_factor")
    if request.self_ensemble:
        check_self_ensemble(config.scale, weights.downsampler)
    kernels = request.kernel
    if kernels != AUTO:
        kernels = [_enlarge_gaussian(kernel, config.kernel_size) for kernel in kernels]
    noise = request.noise_map or request.noise_level
    jpeg = None if request.jpeg == OFF else request.jpeg
    applied = NamedDegradation(kernels, noise, request.regions, request.region_blend, jpeg)
    if request.input and noise != AUTO and applied.has_noise and "noise" not in config.conditions:
        argument = "noise_map" if request.noise_map else "noise_level"
        found = request.noise_map.path if request.noise_map else f"{request.noise_level:g}"
        raise InputError(f"{request.weights} takes no noise level, found {found}", argument)
    if request.input and isinstance(jpeg, int) and "jpeg" not in config.conditions:
        raise InputError(f"{request.weights} was not trained for JPEGs, expected auto or off, found {jpeg}", "jpeg")
    downsampler = request.downsampler or weights.downsampler
    return TestSettings(request, applied, _assumed(request, applied, downsampler, weights), downsampler)


def told_what_is_applied(settings: TestSettings, weights: Weights) -> NamedDegradation:
    """What a network is told of HR pictures if nothing is estimated and nothing else is assumed."""
    request = replace(settings.request, assumed_kernel=None, assumed_noise_level=None, assumed_jpeg=None)
    return _assumed(request, settings.applied, settings.downsampler, weights)


def known_noise_level(settings: TestSettings) -> float | None:
    """The noise level of all pictures, the mean of a noise map; None if it is estimated.

    A network that takes no noise level is told 0, which does not mean that the pictures are known to have no noise.
    """
    noise = settings.applied.noise
    if settings.request.assumed_noise_level is not None:
        noise = settings.request.assumed_noise_level
    if isinstance(noise, NamedMap):
        return float(noise.values.mean())
    return None if noise == AUTO else noise


def _assumed(request: TestRequest, applied: NamedDegradation, downsampler: str, weights: Weights) -> NamedDegradation:
    """The degradation that the network is told.

    It is the applied one, unless the request assumes another kernel, noise level or JPEG quality.
    """
    noise = applied.noise if request.assumed_noise_level is None else request.assumed_noise_level
    if noise == AUTO and "noise" not in weights.network.config.conditions:
        noise = 0.0
    if noise == AUTO:
        with prefix_errors("noise_level" if request.assumed_noise_level is None else "assumed_noise_level"):
            estimator_file(weights.network.config.scale)
    assumed = replace(applied, noise=noise, jpeg=_assumed_jpeg(request, applied, weights))
    if request.assumed_kernel:
        assumed = replace(assumed, kernels=_assumed_kernels(request.assumed_kernel, weights), regions=None)
    with prefix_errors("assumed_kernel" if request.assumed_kernel else "kernel"):
        if assumed.kernels == AUTO:
            check_kernel_can_be_estimated(weights.network.config.scale, {downsampler, weights.downsampler})
            return assumed
        if not request.assumed_kernel:
            assumed = replace(assumed, kernels=_told_kernels(assumed.kernels, downsampler, weights))
        for kernel in assumed.kernels:
            # Raises InputError if most of the kernel lies outside of the window.
            fit_kernel(kernel.array, weights.network.config.kernel_size)
    return assumed


def _assumed_jpeg(request: TestRequest, applied: NamedDegradation, weights: Weights) -> int | Auto | None:
    """The quality that the network is told, or `auto`; None for no JPEG, or if the network is told nothing of JPEG."""
    if "jpeg" not in weights.network.config.conditions or request.assumed_jpeg == OFF:
        return None
    return request.assumed_jpeg or applied.jpeg


def _assumed_kernels(kernel: NamedKernel | Auto, weights: Weights) -> list[NamedKernel] | Auto:
    return AUTO if kernel == AUTO else [_enlarge_gaussian(kernel, weights.network.config.kernel_size)]


def _told_kernels(kernels: list[NamedKernel], downsampler: str, weights: Weights) -> list[NamedKernel]:
    """What a network is told of applied kernels.

    If it was trained for bicubic downsampling and the direct downsampler is applied, these are equivalent kernels.
    """
    config = weights.network.config
    if (downsampler, weights.downsampler) != ("direct", "bicubic") or config.scale == 1:
        return kernels
    return [_equivalent(kernel, config.scale, config.kernel_size) for kernel in kernels]


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
