"""The choice of the fastest backend for a network on this machine, by a short benchmark whose result is cached."""

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

from srmd.backends.backend import OPTIONAL_ENGINES, Backend, make_network_function
from srmd.backends.device import choose_device, choose_precision, processor_description
from srmd.base.errors import InputError
from srmd.base.files import atomic_write, cache_folder, check_is_file, check_size
from srmd.base.signals import deferred_signals
from srmd.model import SRMD, NetworkConfig
from srmd.winograd import compiled
from srmd.winograd.convolution import conv

logger = logging.getLogger("srmd")

MAX_CACHE_BYTES = 2**20
CACHE_VERSION = 6  # part of the cache key; increased whenever the speed of one of our own backends changes
# LR pixels. With PyTorch's convolutions, every call on a picture of this size, as on photos, gets new memory for its
# features, which the system must clear; on a smaller one, calls reuse the memory and are faster per pixel.
BENCHMARK_SIDE = 256
BENCHMARK_ROUNDS = 2
# More rounds than for restoring, because a training run keeps the choice to its end; they take a second in all.
TRAINING_BENCHMARK_ROUNDS = 5
# Load average per thread above which a benchmark result is stored as 'busy' only: it is used while the machine is busy.
MAX_LOAD = 0.8


def choose_backend(network: SRMD, device: torch.device, engine: str = "auto", precision: str = "auto") -> Backend:
    """Return the fastest backend for a network without batch norm, of those that the arguments allow.

    Raises InputError if they allow none.
    """
    backends = available_backends(network, device, engine, precision)
    if len(backends) == 1:
        return backends[0]
    key = _cache_key(network, backends)
    busy_key = f"{key}, busy"
    busy = is_busy()
    results = _read_cache()
    fastest = results.get(key)
    if fastest is None and busy:
        fastest = results.get(busy_key)
    if fastest not in map(str, backends):
        logger.info("Comparing the speed of %d engines, once for this machine and network", len(backends))
        fastest = _benchmark(network, backends)
        _write_cache(busy_key if busy else key, fastest)
    return next(backend for backend in backends if str(backend) == fastest)


def is_busy() -> bool:
    """Return whether the machine is busy, by the load average of the last minute; False on Windows, which has none."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= MAX_LOAD * torch.get_num_threads()


def available_backends(network: SRMD, device: torch.device, engine: str, precision: str) -> list[Backend]:
    """Return the backends that the arguments allow and that can run a network on this machine.

    `engine` is auto, torch, ncnn or openvino; `precision` auto, fp32, bf16 or fp16. Raises InputError if an engine that
    is asked for is not installed, or can't run on the device or the network's head.
    """
    _check_engine(network.config, device, engine)
    chosen = choose_precision(precision, device)
    if precision == "auto" and chosen == "bf16" and network.config.scale == 1:
        chosen = "fp32"  # at x1, where SR is closest to HR, bfloat16 would lose 0.1 dB
    if device.type != "cpu":
        return [Backend("torch", chosen, str(device))]
    precisions = list(dict.fromkeys(["fp32", chosen])) if precision == "auto" else [chosen]
    backends = []
    if engine in ("auto", "torch"):
        backends += [Backend("torch", each, "cpu") for each in precisions]
        if "fp32" in precisions and compiled.load() is not None:
            backends.append(Backend("torch", "fp32", "cpu", winograd=True))
    if network.config.head == "subpixel":
        backends += _optional_backends(engine, precision, precisions)
    return backends


def _optional_backends(engine: str, precision: str, precisions: list[str]) -> list[Backend]:
    """Return the backends of optional engines.

    With the precision `auto` they run in float32 only: in bfloat16 they would round the first layer and the RGB
    channels as well, and lose more PSNR than `auto` is allowed to.
    """
    engines = [name for name in OPTIONAL_ENGINES if engine == name or (engine == "auto" and "fp32" in precisions)]
    used_precision = "bf16" if precision == "bf16" else "fp32"
    backends = [Backend(name, used_precision, "cpu") for name in engines if is_installed(name)]
    if Backend("ncnn", "fp32", "cpu") in backends and _has_vulkan():
        backends.append(Backend("ncnn", "fp32", "vulkan"))
    return backends


def is_installed(engine: str) -> bool:
    """Return whether an optional engine is installed; an installed engine may still fail to run."""
    return importlib.util.find_spec(engine) is not None


def check_backend(config: NetworkConfig, device: str, engine: str, precision: str) -> None:
    """Raises InputError if this machine lacks the device or the engine, or if they cannot run such a network.

    Nothing is imported, compiled or measured: an engine that is installed may still fail to run.
    """
    chosen_device = choose_device(device)
    _check_engine(config, chosen_device, engine)
    choose_precision(precision, chosen_device)


def _check_engine(config: NetworkConfig, device: torch.device, engine: str) -> None:
    if engine in ("auto", "torch"):
        return
    if engine not in OPTIONAL_ENGINES:
        raise InputError(f"expected auto, torch, {' or '.join(OPTIONAL_ENGINES)}, found {engine!r}", "engine")
    if not is_installed(engine):
        raise InputError(f"{engine} is not installed: pip install -r requirements-engines.txt", "engine")
    if device.type != "cpu":
        supported = "the CPU or through Vulkan" if engine == "ncnn" else "the CPU"
        raise InputError(f"{engine} runs on {supported}, found `device={device}`", "engine")
    if config.head != "subpixel":
        raise InputError(f"{engine} runs networks with the sub-pixel head, found {config.head}", "engine")


def _has_vulkan() -> bool:
    from srmd.backends.ncnn import has_vulkan

    with deferred_signals():  # it imports ncnn
        return has_vulkan()


def _benchmark(network: SRMD, backends: list[Backend]) -> str:
    """Return the name of the fastest backend; backends of optional engines that fail are left out with a warning."""
    generator = torch.Generator().manual_seed(0)  # the program's random numbers stay as they are
    lr = torch.rand(1, 3, BENCHMARK_SIDE, BENCHMARK_SIDE, generator=generator)
    degradation_map = torch.rand(1, network.config.map_channels, 1, 1, generator=generator)
    calls = {}
    for backend in backends:
        try:
            call = partial(make_network_function(network, backend), lr, degradation_map)
            call()  # warms up
        except Exception as error:  # an optional engine can fail in many ways, such as by a missing library
            if backend.engine not in OPTIONAL_ENGINES:
                raise
            reason = " ".join(str(error.__cause__ or error).split())[:100]
            logger.warning("%s does not work on this machine (%s)", backend, reason)
        else:
            calls[str(backend)] = call
    if not calls:
        raise InputError(f"none of {', '.join(map(str, backends))} works on this machine", "engine")
    return list(calls)[_index_of_fastest(list(calls.values()), BENCHMARK_ROUNDS)]


def winograd_is_faster(network: SRMD, size: tuple[int, int, int]) -> bool:
    """Return whether a network trains faster with Winograd's algorithm, on the CPU in float32.

    `size` is (N, h, w), the number, height and width of a batch's LR patches. Forward and backward of one inner layer
    are measured. False for a network with batch norm, which can't use Winograd's algorithm, and without its compiled
    functions.
    """
    if network.config.batch_norm or compiled.load() is None:
        return False
    layer, (count, height, width) = network.convs[1], size
    generator = torch.Generator().manual_seed(0)  # the program's random numbers stay as they are
    features = torch.rand(count, layer.in_channels, height, width, generator=generator)
    features = features.to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (tensor.detach().requires_grad_() for tensor in (layer.weight, layer.bias))

    def direct(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, weight, bias, padding=1), inplace=True)

    def forward_backward(conv_relu: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        conv_relu(features, weight, bias).sum().backward()

    calls = [partial(forward_backward, direct), partial(forward_backward, partial(conv, relu=True))]
    return _index_of_fastest(calls, TRAINING_BENCHMARK_ROUNDS) == 1


def _index_of_fastest(calls: list[Callable[[], object]], rounds: int) -> int:
    """Return the index of the function with the shortest single call; each round calls every function once."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, call_seconds in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            call_seconds.append(time.perf_counter() - start)
    return seconds.index(min(seconds, key=min))


def _cache_key(network: SRMD, backends: list[Backend]) -> str:
    """Return all that a benchmark result depends on: processor, threads, network size, backends, engine versions."""
    engines = sorted({backend.engine for backend in backends})
    versions = [f"{engine} {importlib.metadata.version(engine)}" for engine in engines]
    size = f"{network.config.layers}×{network.config.features}"
    threads = f"{torch.get_num_threads()} threads"
    names = map(str, backends)
    return ", ".join([f"version {CACHE_VERSION}", processor_description(), threads, size, *names, *versions])


def _read_cache() -> dict[str, str]:
    """Return the fastest backend's name for each cache key; nothing if the file is missing or broken."""
    try:
        path = _cache_file()
        check_is_file(path)
        check_size(path, MAX_CACHE_BYTES)
        results = json.loads(path.read_text(encoding="utf-8"))
    except (InputError, OSError, ValueError, RuntimeError):  # RuntimeError: the user has no home folder, or deep JSON
        return {}
    return results if isinstance(results, dict) else {}


def _write_cache(key: str, fastest: str) -> None:
    # If the home folder is missing or read-only, the benchmark is repeated each time.
    with suppress(OSError, RuntimeError):
        _cache_file().parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(_cache_file()) as temporary:
            temporary.write_text(json.dumps(_read_cache() | {key: fastest}, indent=2) + "\n", encoding="utf-8")


def _cache_file() -> Path:
    return cache_folder() / "engines.json"
