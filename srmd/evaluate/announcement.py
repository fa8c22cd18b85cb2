"""The messages that a test logs before it starts, and the pictures of its degradation for the dashboard."""

from pathlib import Path

import numpy as np

from srmd.config import AUTO, OFF, Auto, NamedDegradation, NamedKernel, NamedMap, TestSettings
from srmd.kernel.pca import code_error
from srmd.kernel.window import centre_offset, cropped_share, fit_kernel, stack_kernels
from srmd.restore.restorer import Restorer
from srmd.show.pictures import kernel_picture, map_picture
from srmd.weights.files import Weights

ESTIMATED = "estimated from each LR picture"
AUTO_OF_FILES = ", JPEG tables of each file"
AUTO_OF_PICTURES = f", JPEG quality {ESTIMATED}"

# Values above which a test logs a warning:
MAX_LOST_SHARE = 1e-5  # share of a kernel's absolute values outside the network's window
MAX_OFF_CENTRE = 0.25  # HR pixels between a kernel's centre of mass and its middle
MAX_CODE_ERROR = 0.05  # error of a kernel's code, relative to the kernel's norm


def describe_network(weights: Path, restorer: Restorer) -> str:
    """A line on a network, its file, and what runs it."""
    config = restorer.config
    return f"{config.kind} x{config.scale} from {weights} ({restorer.backend})"


def announcement(settings: TestSettings, weights: Weights) -> list[str]:
    """One line each on the degradation that is applied, and the one that is assumed."""
    request, lines = settings.request, []
    if not request.input:
        specs = [kernel.spec for kernel in settings.applied.kernels]
        degradation = f"{_describe_kernels(specs, settings.applied)}, {_describe_noise(settings.applied.noise)}"
        degradation += _describe_jpeg(settings.applied)
        lines.append(f"applied: {degradation}, downsampler {settings.downsampler}")
    told = AUTO_OF_FILES if request.input else AUTO_OF_PICTURES
    lines.append(f"assumed: {_describe_assumed(settings.assumed, weights)}{_describe_jpeg(settings.assumed, told)}")
    if request.save_lr and settings.applied.jpeg is not None:
        lines.append(f"The LR pictures in {request.output / 'lr'} are those that the network gets")
    elif request.save_lr:
        folder = request.output / "lr"
        lines.append(f"The LR pictures in {folder} are clipped and rounded to 8 bits; the network gets them unrounded")
    return lines


def _describe_assumed(assumed: NamedDegradation, weights: Weights) -> str:
    has_noise_level = "noise" in weights.network.config.conditions
    noise = _describe_noise(assumed.noise) if has_noise_level else "no noise level"
    if assumed.kernels == AUTO:
        return f"kernel and noise level {ESTIMATED}" if assumed.noise == AUTO else f"kernel {ESTIMATED}, {noise}"
    errors = _code_errors(assumed.kernels, weights)
    specs = [
        f"{kernel.spec} (kernel code error {error:.1%})" for kernel, error in zip(assumed.kernels, errors, strict=True)
    ]
    return f"{_describe_kernels(specs, assumed)}, {noise}"


def warnings(settings: TestSettings, weights: Weights) -> list[str]:
    """A line for each reason to mistrust the results."""
    request, assumed, messages = settings.request, settings.assumed, []
    has_noise = assumed.has_noise or (settings.applied.has_noise and not request.input)
    if has_noise and "noise" not in weights.network.config.conditions:
        messages.append("this network takes no noise level: it treats all LR pictures as free of noise")
    is_jpeg = not request.input and (settings.applied.jpeg or request.assumed_jpeg not in (None, OFF))
    if is_jpeg and not request.jpeg_weights and "jpeg" not in weights.network.config.conditions:
        messages.append("this network was not trained for JPEGs: it is told nothing of their compression")
    kernels = [] if assumed.kernels == AUTO else assumed.kernels
    for kernel, error in zip(kernels, _code_errors(kernels, weights), strict=True):
        messages += kernel_warnings(kernel, weights.network.config.kernel_size, error)
    if (settings.downsampler, weights.downsampler) == ("bicubic", "direct"):
        messages.append("this network was trained for the direct downsampler, not for bicubic")
    return messages


def kernel_warnings(kernel: NamedKernel, window: int, error: float) -> list[str]:
    """A line for each reason why a kernel may be restored badly by a network with a window×window kernel window.

    `error` is the relative error with which the network's kernel code describes the kernel.
    """
    messages = []
    lost = cropped_share(kernel.array, window)
    if lost > MAX_LOST_SHARE:
        size = "×".join(map(str, kernel.array.shape))
        inner = f"its inner {window}×{window}, which lacks {100 * lost:.2g}% of its mass"
        messages.append(f"{kernel.spec} is {size}; the kernel code describes only {inner}")
    if error > MAX_CODE_ERROR:
        messages.append(f"the network's kernel code describes the kernel {kernel.spec} badly; the result may be poor")
    down, right = centre_offset(kernel.array)
    if np.hypot(down, right) > MAX_OFF_CENTRE and not kernel.may_shift:
        offset = f"its centre of mass lies {down:+.1f} rows and {right:+.1f} columns from its middle"
        messages.append(f"{kernel.spec} shifts pictures: {offset}; `recentre_kernel` moves it to the middle")
    return messages


def _code_errors(kernels: list[NamedKernel], weights: Weights) -> list[float]:
    size, pca = weights.network.config.kernel_size, weights.pca.numpy()
    return [code_error(fit_kernel(kernel.array, size, normalise=False), pca) for kernel in kernels]


def _describe_kernels(specs: list[str], degradation: NamedDegradation) -> str:
    if len(specs) == 1:
        return f"kernel {specs[0]}"
    blend = degradation.region_blend
    blended = f", with borders blended over {blend:g} LR pixels" if blend else ""
    return f"kernels {', '.join(specs)} in the regions of {degradation.regions.path}{blended}"


def _describe_noise(noise: float | NamedMap | Auto) -> str:
    if noise == AUTO:
        return f"noise level {ESTIMATED}"
    if isinstance(noise, NamedMap):
        return f"noise levels {noise.values.min():g} to {noise.values.max():g} from {noise.path}"
    return f"noise level {noise:g}"


def _describe_jpeg(degradation: NamedDegradation, auto: str = "") -> str:
    if degradation.jpeg is None:
        return ""
    return auto if degradation.jpeg == AUTO else f", JPEG quality {degradation.jpeg}"


def degradation_pictures(settings: TestSettings) -> dict[str, tuple[np.ndarray, str]]:
    """Pictures of the applied kernels, regions and noise map: by dashboard window, the picture and its caption."""
    applied, pictures = settings.applied, {}
    if applied.kernels != AUTO:
        kernels = stack_kernels([kernel.array for kernel in applied.kernels])
        specs = ", ".join(kernel.spec for kernel in applied.kernels)
        pictures["kernel"] = kernel_picture(kernels), f"kernel: {specs}"
    if applied.regions:
        labels = map_picture(applied.regions.values, len(applied.kernels) - 1)
        pictures["regions"] = labels, f"regions: {applied.regions.path}; black: the first kernel"
    if isinstance(applied.noise, NamedMap):
        noise_map = map_picture(applied.noise.values, 255)
        pictures["noise map"] = noise_map, f"noise map: {applied.noise.path}; black: 0, white: 255"
    return pictures
