"""Which device computes, in which precision."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from srmd.base.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
CAPABILITIES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")  # of a processor, that decide how fast a network is


def choose_device(device: str) -> torch.device:
    """The device of that name; `auto` takes a CUDA GPU where there is one. Apple's (`mps`) only if it is asked for."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"expected auto, cpu, cuda, cuda:N or mps, found {device!r}", "device") from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"expected auto, cpu, cuda, cuda:N or mps, found {device!r}", "device")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"this machine has {torch.cuda.device_count()} CUDA devices, found {device}", "device")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"torch offers no Metal device on this machine, found {device}", "device")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`; `auto` takes 16 bits where the hardware multiplies them faster than float32.

    On CUDA GPUs that is float16: no GPU multiplies bfloat16 faster, and it keeps 8 bits of a number where float16 keeps
    11. On Apple's GPUs it is float32: nothing else was tried there.
    """
    if precision not in PRECISIONS:
        raise InputError(f"expected one of {', '.join(PRECISIONS)}, found {precision!r}", "precision")
    if device.type == "mps":
        if precision not in ("auto", "fp32"):
            raise InputError(f"expected fp32 on Apple's GPUs, found {precision}", "precision")
        return "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs, and here the CPU computes", "precision")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes in that precision."""
    return torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST)


@contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """The context in which a CUDA GPU multiplies float32 as float32, where 10 bits of mantissa (TF32) would show.

    The setting is the process's: of threads that overlap the first one in makes it and the last one out undoes it.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with _exact.lock:
        if _exact.users == 0:
            _exact.before, cudnn.allow_tf32 = cudnn.allow_tf32, False
        _exact.users += 1
    try:
        yield
    finally:
        with _exact.lock:
            _exact.users -= 1
            if _exact.users == 0:
                cudnn.allow_tf32 = _exact.before


class _ExactConvolutions:
    """Who is inside of `exact_convolutions`."""

    def __init__(self):
        self.lock, self.users, self.before = threading.Lock(), 0, True


_exact = _ExactConvolutions()


def processor_description() -> str:
    """The processor's name and what it can do that counts here."""
    name = "CPU"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return " ".join([name, *(each for each in CAPABILITIES if torch.cpu.get_capabilities().get(each))])
