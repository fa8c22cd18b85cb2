"""What a test says before it begins, and the pictures of its degradation."""

import numpy as np

from srmd.config import NamedDegradation, NamedKernel, NamedMap, TestSettings
from srmd.kernel.pca import code_error
from srmd.kernel.window import centre_offset, cropped_share, fit_kernel, stack_kernels
from srmd.restore.restorer import Restorer
from srmd.show.pictures import kernel_picture, map_picture

MAX_LOST = 1e-5  # of a kernel's mass outside of the window, before one is warned
MAX_OFF_CENTRE = 0.25  # HR pixels, before one is warned
MAX_LEFT_OUT = 0.05  # of a kernel by its code, before one is warned


def announcement(settings: TestSettings, restorer: Restorer) -> list[str]:
    """What runs, and which kernels and noise were applied and are assumed, a line each."""
    config, request = restorer.config, settings.request
    applied, assumed = settings.applied, settings.assumed
    told = _noise_words(assumed.noise) if "noise" in config.conditions else "no noise"
    left_out = _left_out_by_code(assumed, restorer)
    specs = [kernel.spec for kernel in applied.kernels]
    told_specs = [
        f"{kernel.spec} (its code leaves out {share:.1%})"
        for kernel, share in zip(assumed.kernels, left_out, strict=True)
    ]
    lines = [f"{config.kind} x{config.scale} from {request.weights} ({restorer.backend})"]
    if not request.input:
        done = f"{_kernel_words(specs, applied)}, {_noise_words(applied.noise)}"
        lines.append(f"applied: {done}, downsampler {settings.downsampler}")
    lines.append(f"assumed: {_kernel_words(told_specs, assumed)}, {told}")
    if request.save_lr:
        lines.append(f"LR pictures in {request.output / 'lr'} are clipped and rounded to 8 bits; those tested are not")
    return lines


def warnings(settings: TestSettings, restorer: Restorer) -> list[str]:
    """What a user should know before results are looked at, a line each."""
    config, assumed = restorer.config, settings.assumed
    found = []
    has_noise = settings.applied.has_noise or assumed.has_noise
    if not settings.request.input and "noise" not in config.conditions and has_noise:
        found.append("a noise-free network is told of no noise, whatever is applied or assumed")
    for kernel, share in zip(assumed.kernels, _left_out_by_code(assumed, restorer), strict=True):
        found += kernel_warnings(kernel, config.kernel_size, share)
    if (settings.downsampler, restorer.downsampler) == ("bicubic", "direct"):
        found.append("this network was trained for the direct downsampler, not for bicubic")
    return found


def _left_out_by_code(assumed: NamedDegradation, restorer: Restorer) -> list[float]:
    size, pca = restorer.config.kernel_size, restorer.pca.numpy()
    return [code_error(fit_kernel(kernel.array, size, normalise=False), pca) for kernel in assumed.kernels]


def _kernel_words(specs: list[str], degradation: NamedDegradation) -> str:
    if len(specs) == 1:
        return f"kernel {specs[0]}"
    blend = degradation.region_blend
    softened = f" (softened by {blend:g} LR pixels)" if blend else ""
    return f"kernels {', '.join(specs)} by {degradation.regions.path}{softened}"


def _noise_words(noise: float | NamedMap) -> str:
    if isinstance(noise, NamedMap):
        return f"noise {noise.values.min():g} to {noise.values.max():g} by {noise.path}"
    return f"noise {noise:g}"


def kernel_warnings(kernel: NamedKernel, window: int, left_out: float) -> list[str]:
    """What a user should know of a kernel that a network is told in a window of window×window."""
    found = []
    lost = cropped_share(kernel.array, window)
    if lost > MAX_LOST:
        size = "×".join(map(str, kernel.array.shape))
        told = f"the network is told its inner {window}×{window}, without {100 * lost:.2g}% of its mass"
        found.append(f"{kernel.spec} is {size}; {told}")
    if left_out > MAX_LEFT_OUT:
        found.append(f"the network's kernel code describes {kernel.spec} badly; the result may be poor")
    down, right = centre_offset(kernel.array)
    if np.hypot(down, right) > MAX_OFF_CENTRE and not kernel.may_shift:
        place = f"its centre of mass lies {down:+.1f} rows and {right:+.1f} columns off its middle"
        found.append(f"{kernel.spec} shifts pictures: {place}; `recentre_kernel` moves it there")
    return found


def degradation_pictures(settings: TestSettings) -> dict[str, tuple[np.ndarray, str]]:
    """Kernels, regions and noise map that a test was given, by window: a picture, and its caption."""
    applied = settings.applied
    kernels = stack_kernels([kernel.array for kernel in applied.kernels])
    specs = ", ".join(kernel.spec for kernel in applied.kernels)
    pictures = {"kernel": (kernel_picture(kernels), f"kernel: {specs}")}
    if applied.regions:
        labels = map_picture(applied.regions.values, len(kernels) - 1)
        pictures["regions"] = labels, f"regions: {applied.regions.path}, black for the first kernel"
    if isinstance(applied.noise, NamedMap):
        pictures["noise map"] = map_picture(applied.noise.values, 255), f"noise map: {applied.noise.path}"
    return pictures
