"""Devices and precisions, and PyTorch's settings for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from srmd.base.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Instruction sets on which the speed of a network depends, by the names of torch.cpu.get_capabilities().
INSTRUCTION_SETS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")


def choose_device(device: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda, cuda:N or mps.

    `auto` is the first CUDA GPU, or else the CPU; never Apple's GPU (`mps`). Raises InputError for any other name, and
    for a device that this machine does not have.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"expected auto, cpu, cuda, cuda:N or mps, found {device!r}", "device") from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"expected auto, cpu, cuda, cuda:N or mps, found {device!r}", "device")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"this machine has {torch.cuda.device_count()} CUDA devices, found {device}", "device")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"torch offers no Metal device on this machine, found {device}", "device")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """Return `fp32`, `bf16` or `fp16`; for `auto`, a 16-bit type that the device may compute faster in than in float32.

    On CUDA GPUs that is float16: bfloat16 is never faster there, and has 8 significant bits, while float16 has 11. On
    CPUs it is bfloat16, if the processor has instructions for it; `choose_backend` compares it with float32. Apple's
    GPUs get float32, the only precision tried. Raises InputError for an unknown precision, and for one that is not
    supported on the device.
    """
    if precision not in PRECISIONS:
        raise InputError(f"expected one of {', '.join(PRECISIONS)}, found {precision!r}", "precision")
    if device.type == "mps":
        if precision not in ("auto", "fp32"):
            raise InputError(f"expected fp32 on Apple's GPUs, found {precision}", "precision")
        return "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs, found the CPU as the device", "precision")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def choose_training_precision(precision: str, device: torch.device) -> str:
    """Return the precision to train in: that of `choose_precision`, except that `auto` is always float32 on a CPU.

    Gradients in bfloat16 have errors larger than themselves (benchmarks/recipe.md), and float32 is faster with
    Winograd's algorithm.
    """
    if precision == "auto" and device.type == "cpu":
        return "fp32"
    return choose_precision(precision, device)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return a context in which PyTorch computes a network in a precision: fp32, bf16 or fp16."""
    return torch.autocast(device.type, AUTOCAST_DTYPES.get(precision), enabled=precision in AUTOCAST_DTYPES)


@contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """Return a context in which a CUDA GPU's float32 convolutions do not use TF32.

    TF32 has 11 significant bits; its rounding errors would be visible in pictures. The setting belongs to the whole
    process: if several threads are in this context at once, the first to enter turns TF32 off, and the last to leave
    restores the setting.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    with _tf32.lock:
        if _tf32.threads == 0:
            _tf32.outer_setting = cudnn.allow_tf32
            cudnn.allow_tf32 = False
        _tf32.threads += 1
    try:
        yield
    finally:
        with _tf32.lock:
            _tf32.threads -= 1
            if _tf32.threads == 0:
                cudnn.allow_tf32 = _tf32.outer_setting


class _Tf32State:
    """The number of threads in `exact_convolutions`, and the setting to restore after them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.threads = 0
        self.outer_setting = True


_tf32 = _Tf32State()


def processor_description() -> str:
    """Return the processor's name, CPU if the system does not tell it, and which of INSTRUCTION_SETS it has."""
    name = "CPU"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    capabilities = torch.cpu.get_capabilities()
    return " ".join([name, *(each for each in INSTRUCTION_SETS if capabilities.get(each))])
