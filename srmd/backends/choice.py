"""The fastest backend that this machine has for a network, found by a short benchmark whose result is kept."""

import importlib.metadata
import importlib.util
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.backends.backend import OPTIONAL, Backend, make_network_function
from srmd.backends.device import choose_precision, processor_description
from srmd.base.errors import InputError
from srmd.base.files import cache_folder, whole_file
from srmd.model import SRMD
from srmd.winograd import compiled
from srmd.winograd.convolution import conv_relu

logger = logging.getLogger("srmd")

CACHE_VERSION = 5  # one higher whenever one of our own backends changes: results of before no longer hold
BENCHMARK_SIDE = 256  # LR pixels: of smaller features memory is used again, of larger ones the system clears it anew
BENCHMARK_ROUNDS = 2
LAYER_ROUNDS = 5  # for a training, which keeps to the result to its end; they take a second
# Load average per thread above which a benchmark result is stored as 'busy' only: it holds while the machine is busy.
MAX_LOAD = 0.8


def choose_backend(network: SRMD, device: torch.device, engine: str = "auto", precision: str = "auto") -> Backend:
    """The fastest backend of those that engine, precision and device leave; InputError where there is none.

    The network has no batch norm.
    """
    found = available_backends(network, device, engine, precision)
    if len(found) == 1:
        return found[0]
    key = _cache_key(network, found)
    busy = is_busy()
    cached = _read_cache()
    fastest = cached.get(key) or (cached.get(f"{key}, busy") if busy else None)
    if fastest not in map(str, found):
        fastest = _benchmark(network, found)
        _write_cache(f"{key}, busy" if busy else key, fastest)
    return next(backend for backend in found if str(backend) == fastest)


def is_busy() -> bool:
    """Whether other programs ran in the last minute; False where the system doesn't say, as on Windows."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= MAX_LOAD * torch.get_num_threads()


def available_backends(network: SRMD, device: torch.device, engine: str, precision: str) -> list[Backend]:
    """All backends that can run a network here and are asked for."""
    if engine not in ("auto", "torch", *OPTIONAL):
        raise InputError(f"expected auto, torch, {' or '.join(OPTIONAL)}, found {engine!r}", "engine")
    if engine in OPTIONAL:
        _check_optional(network, device, engine)
    chosen = choose_precision(precision, device)
    if precision == "auto" and chosen == "bf16" and network.config.scale == 1:
        chosen = "fp32"  # near to HR as x1 is, it would lose 0.1 dB
    if device.type != "cpu":
        return [Backend("torch", chosen, str(device))]
    precisions = list(dict.fromkeys(["fp32", chosen])) if precision == "auto" else [chosen]
    found = []
    if engine in ("auto", "torch"):
        found += [Backend("torch", each, "cpu") for each in precisions]
        if "fp32" in precisions:
            found.append(Backend("torch", "fp32", "cpu", winograd=True))
    if network.config.head == "subpixel":
        # With the first layer and the picture's own way in bfloat16 too, these lose more than `auto` may lose.
        wanted = [name for name in OPTIONAL if engine == name or (engine == "auto" and "fp32" in precisions)]
        kind = "bf16" if precision == "bf16" else "fp32"
        found += [Backend(name, kind, "cpu") for name in wanted if is_installed(name)]
        if Backend("ncnn", "fp32", "cpu") in found and _has_vulkan():
            found.append(Backend("ncnn", "fp32", "vulkan"))
    return found


def is_installed(name: str) -> bool:
    """Whether an optional engine can be imported."""
    return importlib.util.find_spec(name) is not None


def _check_optional(network: SRMD, device: torch.device, engine: str) -> None:
    if not is_installed(engine):
        raise InputError(f"{engine} is not installed: pip install -r requirements-engines.txt", "engine")
    if device.type != "cpu":
        raise InputError(f"{engine} runs on the CPU, or ncnn by Vulkan, found `device={device}`", "engine")
    if network.config.head != "subpixel":
        raise InputError(f"{engine} runs networks with the sub-pixel head, found {network.config.head}", "engine")


def _has_vulkan() -> bool:
    from srmd.backends.ncnn import has_vulkan

    return has_vulkan()


def _benchmark(network: SRMD, found: list[Backend]) -> str:
    """The name of the fastest backend."""
    lr = torch.rand(1, 3, BENCHMARK_SIDE, BENCHMARK_SIDE)
    degradation_map = torch.rand(1, network.config.map_channels, 1, 1)
    works = {}
    for backend in found:
        try:
            works[str(backend)] = partial(make_network_function(network, backend), lr, degradation_map)
            works[str(backend)]()
        except Exception as error:  # an optional engine that is installed, but does not work here
            if backend.engine not in OPTIONAL:
                raise
            works.pop(str(backend), None)
            reason = " ".join(str(error.__cause__ or error).split())[:100]
            logger.warning("%s does not work here (%s)", backend, reason)
    if not works:
        raise InputError(f"none of {', '.join(map(str, found))} works here", "engine")
    return list(works)[_fastest(list(works.values()), BENCHMARK_ROUNDS)]


def winograd_is_faster(network: SRMD, size: tuple[int, int, int]) -> bool:
    """Whether Winograd's algorithm trains a network faster on the CPU in float32; tried on (N, h, w) pictures."""
    if network.config.batch_norm:
        return False
    conv, (count, height, width) = network.convs[1], size
    features = torch.rand(count, conv.in_channels, height, width).to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (tensor.detach().requires_grad_() for tensor in (conv.weight, conv.bias))

    def direct(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, weight, bias, padding=1), inplace=True)

    def train_layer(layer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        layer(features, weight, bias).sum().backward()

    return _fastest([partial(train_layer, direct), partial(train_layer, conv_relu)], LAYER_ROUNDS) == 1


def _fastest(works: list[Callable[[], object]], rounds: int) -> int:
    """The number of the work that took the least time in any of its turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return times.index(min(times, key=min))


def _cache_key(network: SRMD, found: list[Backend]) -> str:
    """All that a benchmark's result depends on: processor, threads, network, backends and the versions of theirs."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in sorted({each.engine for each in found})]
    size = f"{network.config.layers}×{network.config.features}"
    if any(backend.winograd for backend in found) and compiled.load():
        versions.append("compiled Winograd")
    threads = f"{torch.get_num_threads()} threads"
    return ", ".join([f"version {CACHE_VERSION}", processor_description(), threads, size, *map(str, found), *versions])


def _read_cache() -> dict[str, str]:
    try:
        results = json.loads(_cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # the last one: there is no home
        return {}
    return results if isinstance(results, dict) else {}


def _write_cache(key: str, fastest: str) -> None:
    # A home that is not there, or can't be written to, costs a benchmark each time, no more.
    with suppress(OSError, RuntimeError):
        _cache_file().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_cache_file()) as temporary:
            temporary.write_text(json.dumps(_read_cache() | {key: fastest}, indent=2) + "\n", encoding="utf-8")


def _cache_file() -> Path:
    return cache_folder() / "engines.json"
