"""Which device computes, in which precision."""

from contextlib import AbstractContextManager, suppress
from pathlib import Path

import torch

from srmd.base.errors import InputError

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
CAPABILITIES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")  # of a processor, that decide how fast a network is


def choose_device(device: str) -> torch.device:
    """The device of that name; `auto` takes a CUDA GPU where there is one. Apple's (`mps`) only if it is asked for."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
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


def exact_convolutions() -> AbstractContextManager[None]:
    """The context in which a GPU multiplies float32 as float32, where 10 bits of mantissa (TF32) would show."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def processor() -> str:
    """The processor's name and what it can do that counts here."""
    name = "CPU"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    return " ".join([name, *(each for each in CAPABILITIES if torch.cpu.get_capabilities().get(each))])
