"""A network as a function (LR, degradation map) → SR, the fastest way that this machine has."""

import copy
import importlib.metadata
import importlib.util
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import compiled
from bfloat16 import in_bfloat16
from errors import InputError
from files import cache_folder, whole_file
from model import SRMD, Run, merge_batch_norm
from winograd import conv_relu

TILE = 516  # a multiple of Winograd's tiles
NCNN_TILE = 384  # for it holds a picture's transforms, which take more memory than the features
WAYS_VERSION = 4  # one higher whenever one of our own ways changes: verdicts of before no longer hold
TRIAL_SIDE = 256  # LR pixels: of smaller features memory is used again, of larger ones the system clears it anew
TRIAL_ROUNDS = 2
LAYER_ROUNDS = 5  # for a training, which keeps to the verdict to its end; they take a second
# A thread: programs that ran in the last minute. On a machine that is busier, a trial also tells what runs beside: its
# verdict holds while the machine is busy, and only there.
MOST_LOAD = 0.8
OPTIONAL = ("ncnn", "openvino")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
torch.backends.cudnn.allow_tf32 = False  # float32 is asked for where 10 bits of mantissa would show


@dataclass(frozen=True)
class Way:
    """A way to run a network."""

    engine: str  # torch, ncnn or openvino
    precision: str  # fp32, bf16 or fp16
    device: str  # cpu, cuda[:N], or vulkan
    winograd: bool = False  # in PyTorch; the others choose for themselves

    def __str__(self) -> str:
        return f"{self.engine}{' winograd' if self.winograd else ''} {self.precision} {self.device}"


@dataclass(frozen=True)
class Engine:
    """What runs a network; `run` takes and gives float32 tensors on the CPU, (1, 3, h, w) → (1, 3, s·h, s·w)."""

    way: Way
    scale: int
    tile: int  # LR pixels of a side that are computed at once: the features of 512×512 take 134 MB in float32
    halo: int  # LR pixels that an SR pixel can see on each side
    run: Run


def choose_device(device: str) -> torch.device:
    """The device that `--device` means; `auto` takes a GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device: this machine has {torch.cuda.device_count()} CUDA devices, found {device}")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`; `auto` takes 16 bits where the hardware multiplies them faster than float32.

    On GPUs that is float16: no GPU multiplies bfloat16 faster, and it keeps 8 bits of a number where float16 keeps 11.
    """
    if precision == "fp16" and device.type == "cpu":
        raise InputError("--precision: fp16 is for GPUs, and here the CPU computes")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes in that precision."""
    return torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST)


def winograd_pays(network: SRMD, size: tuple[int, int, int]) -> bool:
    """Whether in training, on the CPU in float32, Winograd's algorithm is faster; tried on (N, h, w) pictures."""
    if network.config.batch_norm:
        return False
    conv, (count, height, width) = network.convs[1], size
    features = torch.rand(count, conv.in_channels, height, width).to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (tensor.detach().requires_grad_() for tensor in (conv.weight, conv.bias))

    def direct(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, weight, bias, padding=1), inplace=True)

    def learn(layer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        layer(features, weight, bias).sum().backward()

    return _fastest([partial(learn, direct), partial(learn, conv_relu)], LAYER_ROUNDS) == 1


def _fastest(works: list[Callable[[], object]], rounds: int) -> int:
    """The number of the work that took the least time in any of its turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return times.index(min(times, key=min))


def choose_engine(network: SRMD, device: torch.device, engine: str = "auto", precision: str = "auto") -> Engine:
    """The fastest of the ways that `--engine`, `--precision` and `--device` leave; InputError where there is none."""
    if network.config.batch_norm:
        network = merge_batch_norm(network)
    found = ways(network, device, engine, precision)
    if len(found) == 1:
        return _working_engine(network, found[0])
    situation = _situation(network, found)
    busy = os.getloadavg()[0] >= MOST_LOAD * torch.get_num_threads()
    kept = _kept_verdicts()
    verdict = kept.get(situation) or (kept.get(f"{situation}, busy") if busy else None)
    if verdict not in map(str, found):
        verdict = _try(network, found)
        _keep_verdict(f"{situation}, busy" if busy else situation, verdict)
    return _working_engine(network, next(way for way in found if str(way) == verdict))


def _working_engine(network: SRMD, way: Way) -> Engine:
    try:
        return make_engine(network, way)
    except Exception as error:  # an optional engine that is installed, but does not work here
        if way.engine not in OPTIONAL:
            raise
        found = " ".join(str(error).split())[:100]
        raise InputError(f"--engine: {way} does not work here ({found}); --engine=torch does") from error


def ways(network: SRMD, device: torch.device, engine: str, precision: str) -> list[Way]:
    """All ways to run a network here that are asked for."""
    if engine in OPTIONAL:
        _check_optional(network, device, engine)
    chosen = choose_precision(precision, device)
    if precision == "auto" and chosen == "bf16" and network.config.scale == 1:
        chosen = "fp32"  # near to HR as x1 is, it would lose 0.1 dB
    precisions = list(dict.fromkeys(["fp32", chosen])) if precision == "auto" else [chosen]
    found = []
    if engine in ("auto", "torch"):
        found += [Way("torch", p, str(device)) for p in precisions if device.type == "cpu" or p == precisions[-1]]
        found += [Way("torch", "fp32", "cpu", winograd=True)] * ("fp32" in precisions and device.type == "cpu")
    if device.type == "cpu" and network.config.head == "subpixel":
        # With the first layer and the picture's own way in bfloat16 too, these lose more than `auto` may lose.
        wanted = [name for name in OPTIONAL if engine == name or (engine == "auto" and "fp32" in precisions)]
        others = [Way(name, "bf16" if precision == "bf16" else "fp32", "cpu") for name in wanted if is_installed(name)]
        found += others
        if Way("ncnn", "fp32", "cpu") in others and _has_vulkan():
            found.append(Way("ncnn", "fp32", "vulkan"))
    return found


def is_installed(name: str) -> bool:
    """Whether an optional engine can be imported."""
    return importlib.util.find_spec(name) is not None


def _check_optional(network: SRMD, device: torch.device, engine: str) -> None:
    if not is_installed(engine):
        raise InputError(f"--engine: {engine} is not installed: pip install -r requirements-engines.txt")
    if device.type != "cpu":
        raise InputError(f"--engine: {engine} runs on the CPU, or ncnn by Vulkan, found --device={device}")
    if network.config.head != "subpixel":
        raise InputError(f"--engine: {engine} runs networks with the sub-pixel head, found {network.config.head}")


def _has_vulkan() -> bool:
    from engine_ncnn import has_vulkan

    return has_vulkan()


def make_engine(network: SRMD, way: Way) -> Engine:
    """The engine that runs a network without batch norm in one way."""
    threads = torch.get_num_threads()
    if way.engine == "ncnn":
        from engine_ncnn import ncnn_run

        run = ncnn_run(network, way.precision, threads, vulkan=way.device == "vulkan")
    elif way.engine == "openvino":
        from engine_openvino import openvino_run

        run = openvino_run(network, way.precision, threads)
    else:
        run = _torch_run(network, way)
    config = network.config
    tile = NCNN_TILE if way.engine == "ncnn" else TILE
    tile = tile // config.scale if config.head == "upsample" else tile  # whose features are as large as HR
    return Engine(way, config.scale, tile, config.layers, run)


def _torch_run(network: SRMD, way: Way) -> Run:
    """PyTorch, channels last."""
    device = torch.device(way.device)
    network = copy.deepcopy(network).to(device, memory_format=torch.channels_last).eval()
    network.winograd = way.winograd
    compute = partial(in_bfloat16, network) if way.precision == "bf16" else network

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        with autocast(device, "fp16" if way.precision == "fp16" else "fp32"):  # `in_bfloat16` rounds by itself
            return compute(lr.to(device, memory_format=torch.channels_last), degradation_map.to(device)).cpu()

    return run


def _try(network: SRMD, found: list[Way]) -> str:
    """The name of the fastest way by a short trial."""
    lr, told = torch.rand(1, 3, TRIAL_SIDE, TRIAL_SIDE), torch.rand(1, network.config.map_channels, 1, 1)
    works = {}
    for way in found:
        try:
            works[str(way)] = partial(make_engine(network, way).run, lr, told)
            works[str(way)]()
        except Exception as error:  # an optional engine that is installed, but does not work here
            if way.engine not in OPTIONAL:
                raise
            works.pop(str(way), None)
            print(f"warning: {way} does not work here ({' '.join(str(error).split())[:100]})")
    if not works:
        raise InputError(f"--engine: none of {', '.join(map(str, found))} works here")
    return list(works)[_fastest(list(works.values()), TRIAL_ROUNDS)]


def _situation(network: SRMD, found: list[Way]) -> str:
    """All that a verdict depends on: processor, threads, network, the ways and the versions of what runs them."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in sorted({way.engine for way in found})]
    size = f"{network.config.layers}×{network.config.features}"
    if any(way.winograd for way in found) and compiled.load():
        versions.append("compiled Winograd")
    return ", ".join(
        [f"ways {WAYS_VERSION}", processor(), f"{torch.get_num_threads()} threads", size, *map(str, found), *versions]
    )


def processor() -> str:
    """The processor's name and what it can do that counts here."""
    name = "CPU"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    known = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
    return " ".join([name, *(known_one for known_one in known if torch.cpu.get_capabilities().get(known_one))])


def _kept_verdicts() -> dict[str, str]:
    try:
        verdicts = json.loads(_verdicts_file().read_text())
    except (OSError, ValueError, RuntimeError):  # the last one: there is no home
        return {}
    return verdicts if isinstance(verdicts, dict) else {}


def _keep_verdict(situation: str, verdict: str) -> None:
    with suppress(
        OSError, RuntimeError
    ):  # a home that is not there, or can't be written to, costs a trial each time, no more
        _verdicts_file().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_verdicts_file()) as temporary:
            temporary.write_text(json.dumps(_kept_verdicts() | {situation: verdict}, indent=2) + "\n")


def _verdicts_file() -> Path:
    return cache_folder() / "engines.json"
