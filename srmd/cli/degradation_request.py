"""The values of the flags that describe a degradation: kernels, noise, JPEG, maps, and what of it is estimated."""

import os
from collections.abc import Iterator
from pathlib import Path

from srmd.base.errors import InputError, prefix_errors
from srmd.cli.values import KernelChoice
from srmd.config import AUTO, MAX_PIXELS, Auto, NamedKernel, NamedMap
from srmd.kernel.families import delta
from srmd.kernel.window import recentre_kernel
from srmd.pictures.maps import check_labels, read_labels, read_noise_map

HR_USES = {  # of flags that cannot be estimated, because they say what is done to HR pictures
    "kernel": ("the blur that is applied to the HR pictures", "--assumed_kernel=auto"),
    "noise_level": ("the level of the noise that is added to the LR pictures", "--assumed_noise_level=auto"),
    "jpeg": ("the quality of the JPEGs that the LR pictures become", "--assumed_jpeg=auto"),
}


def degradation_values(values: dict) -> dict:
    """The values of all flags, with kernels chosen, maps read and defaults filled in; raises InputError."""
    values = values | _chosen_kernels(values) | _read_maps(values)
    for name in ("kernel_index", "recentre_kernel"):
        values.pop(name, None)
    if values.get("input"):
        values["kernel"] = values["kernel"] or AUTO
        values.setdefault("jpeg", AUTO)
        if "noise_map" not in values:
            values.setdefault("noise_level", AUTO)
    else:
        values["kernel"] = values["kernel"] or [NamedKernel("delta", delta())]
        _check_applied(values)
    _check_maps(values)
    return values


def _check_applied(values: dict) -> None:
    """Raises InputError if something that is applied to HR pictures is `auto`."""
    for name, (what, instead) in HR_USES.items():
        if values.get(name) == AUTO:
            raise InputError(f"expected {what}, found auto; {instead} tells the network an estimate", name)


def _read_maps(values: dict) -> dict[str, NamedMap]:
    """The maps of `regions` and `noise_map`, read from their files."""
    maps, max_pixels = {}, values.get("max_pixels", MAX_PIXELS)
    for name, read in (("regions", read_labels), ("noise_map", read_noise_map)):
        if name in values:
            with prefix_errors(name):
                maps[name] = NamedMap(values[name], read(values[name], max_pixels))
    return maps


def _check_maps(values: dict) -> None:
    """Raises InputError if kernels, regions, noise level and noise map can't be combined."""
    regions = values.get("regions")
    count = 1 if values["kernel"] == AUTO else len(values["kernel"])
    if regions is None:
        if count > 1:
            raise InputError(f"expected one, or --regions to say where each applies, found {count}", "kernel")
        if "region_blend" in values:
            raise InputError("expected --regions, whose borders it softens, found none", "region_blend")
    else:
        if count == 1:
            found = "auto, which is one kernel for the whole picture" if values["kernel"] == AUTO else "one kernel"
            raise InputError(f"expected several --kernel, one for each region, found {found}", "regions")
        with prefix_errors("regions"), prefix_errors(str(regions.path)):
            check_labels(regions.values, count)
    if "noise_map" in values and "noise_level" in values:
        raise InputError("expected either --noise_map or --noise_level, found both", "noise_map")


def _chosen_kernels(values: dict) -> dict[str, list[NamedKernel] | NamedKernel | Auto]:
    """The values of `kernel` and `assumed_kernel`; `kernel` is an empty list if it is not given."""
    choices = _kernel_choices(values)
    indices = _kernel_indices(values, [(name, choice) for name, choice in choices if choice != AUTO])
    recentre = "recentre_kernel" in values
    if recentre and all(choice == AUTO for _, choice in choices):
        raise InputError("expected a kernel in --kernel with it, found none", "recentre_kernel")
    chosen = [(name, AUTO if choice == AUTO else _chosen_kernel(choice, indices, recentre)) for name, choice in choices]
    kernels = {"kernel": _auto_or_kernels([kernel for name, kernel in chosen if name == "kernel"])}
    return kernels | {name: kernel for name, kernel in chosen if name == "assumed_kernel"}


def _auto_or_kernels(kernels: list[NamedKernel | Auto]) -> list[NamedKernel] | Auto:
    """`auto` if it is the only value; raises InputError if there are others beside it."""
    if AUTO not in kernels:
        return kernels
    if len(kernels) > 1:
        raise InputError(
            f"expected auto alone, or kernels without auto, found auto and {len(kernels) - 1} more", "kernel"
        )
    return AUTO


def _kernel_choices(values: dict) -> list[tuple[str, KernelChoice | Auto]]:
    """Flag name and value of each --kernel and of --assumed_kernel."""
    choices = [("kernel", choice) for choice in values.get("kernel", [])]
    if "assumed_kernel" in values:
        choices.append(("assumed_kernel", values["assumed_kernel"]))
    return choices


def _kernel_indices(values: dict, choices: list[tuple[str, KernelChoice]]) -> Iterator[int]:
    """An index for each file that holds several kernels, in the order of the files."""
    several = [(name, choice) for name, choice in choices if len(choice.arrays) > 1]
    indices = values.get("kernel_index", [])
    if several and not indices:
        name, choice = several[0]
        found = f"found {choice.spec}, which holds {len(choice.arrays)}"
        raise InputError(f"expected one kernel, {found}: choose one by --kernel_index=N, counted from 0", name)
    if indices and not several:
        raise InputError("expected a kernel file that holds several, found none", "kernel_index")
    if len(indices) not in (0, 1, len(several)):
        expected = f"expected one, or one for each of the {len(several)} files that hold several kernels"
        raise InputError(f"{expected}, found {len(indices)}", "kernel_index")
    if len(indices) == 1:
        indices = indices * len(several)
    return iter(indices)


def _chosen_kernel(choice: KernelChoice, indices: Iterator[int], recentre: bool) -> NamedKernel:
    """The kernel of a choice, or of a file of several kernels the one of the next index; recentred if `recentre`."""
    spec, index, count = choice.spec, 0, len(choice.arrays)
    if count > 1:
        index = next(indices)
        if index >= count:
            expected = f"expected 0 to {count - 1}, because {spec} holds {count} kernels"
            raise InputError(f"{expected}, found {index}", "kernel_index")
        spec = f"{spec}[{index}]"
    kernel = choice.arrays[index]
    if recentre:
        with prefix_errors("recentre_kernel"), prefix_errors(spec):
            kernel = recentre_kernel(kernel)
        if kernel is not choice.arrays[index]:
            spec = f"{spec}, recentred"
    return NamedKernel(spec, kernel, Path(choice.spec) if os.path.isfile(choice.spec) else None)
