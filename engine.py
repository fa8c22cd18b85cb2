"""A network as a function (LR, degradation map) → SR, and what this machine runs it with."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from errors import InputError
from model import SRMD, merge_batch_norm
from winograd import conv_relu

TILE = 512
torch.backends.cudnn.allow_tf32 = False  # float32 is asked for where 10 bits of mantissa would show


@dataclass(frozen=True)
class Engine:
    """What runs a network; `run` takes and gives float32 tensors on the CPU, (N, 3, h, w) → (N, 3, s·h, s·w)."""

    name: str
    precision: str
    device: str
    scale: int
    tile: int  # LR pixels of a side that are computed at once: the features of 512×512 take 134 MB in float32
    halo: int  # LR pixels that an SR pixel can see on each side
    run: Callable[[Tensor, Tensor], Tensor]


def choose_device(device: str) -> torch.device:
    """The device that `--device` means; `auto` takes a GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device: this machine has {torch.cuda.device_count()} CUDA devices, found {device}")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` takes bfloat16 where the hardware multiplies it faster than float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def winograd_pays(network: SRMD, device: torch.device, precision: str, size: tuple[int, int, int]) -> bool:
    """Whether training's inner layers are faster by Winograd's algorithm here; tried on (N, h, w) pictures."""
    if device.type != "cpu" or precision != "fp32" or network.config.batch_norm:
        return False
    conv, (count, height, width) = network.convs[1], size
    features = torch.rand(count, conv.in_channels, height, width).to(memory_format=torch.channels_last).requires_grad_()
    weight, bias = (tensor.detach().requires_grad_() for tensor in (conv.weight, conv.bias))

    def seconds(layer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
        start = time.perf_counter()
        layer(features, weight, bias).sum().backward()
        return time.perf_counter() - start

    def direct(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.relu(F.conv2d(x, weight, bias, padding=1), inplace=True)

    times = [(seconds(direct), seconds(conv_relu)) for _ in range(3)]
    return min(winograd for _, winograd in times) < min(direct for direct, _ in times)


def torch_engine(network: SRMD, device: torch.device, precision: str) -> Engine:
    """PyTorch, channels last, batch norm merged."""
    if network.config.batch_norm:
        network = merge_batch_norm(network)
    network = network.to(device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        with autocast(device, precision):
            return network(lr.to(device, memory_format=torch.channels_last), degradation_map.to(device)).float().cpu()

    config = network.config
    tile = TILE // config.scale if config.head == "upsample" else TILE  # whose features are as large as HR
    return Engine("torch", precision, str(device), config.scale, tile, config.layers, run)
