"""Ways to run a network: PyTorch with or without Winograd's algorithm, ncnn, OpenVINO, each in some precisions."""

import copy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from srmd.backends.bfloat16 import Bfloat16Network
from srmd.backends.device import autocast, exact_convolutions
from srmd.base.errors import InputError
from srmd.model import SRMD, NetworkConfig, NetworkFunction
from srmd.winograd.convolution import conv_relu_

TILE = 516  # a multiple of Winograd's tiles
NCNN_TILE = 384  # for it holds a picture's transforms, which take more memory than the features
OPTIONAL = ("ncnn", "openvino")


@dataclass(frozen=True)
class Backend:
    """A way to run a network."""

    engine: str  # torch, ncnn or openvino
    precision: str  # fp32, bf16 or fp16
    device: str  # cpu, cuda[:N], mps, or vulkan
    winograd: bool = False  # in PyTorch; the others choose for themselves

    def __str__(self) -> str:
        return f"{self.engine}{' winograd' if self.winograd else ''} {self.precision} {self.device}"

    def tile(self, config: NetworkConfig) -> int:
        """LR pixels of a side that are computed at once: the features of 512×512 take 134 MB in float32."""
        tile = NCNN_TILE if self.engine == "ncnn" else TILE
        return tile // config.scale if config.head == "upsample" else tile  # whose features are as large as HR


def make_network_function(network: SRMD, backend: Backend) -> NetworkFunction:
    """A network without batch norm as a function of float32 tensors on the CPU: (LR, degradation map) → SR.

    LR is (1, 3, h, w), the map (1, C, h, w) or (1, C, 1, 1), SR (1, 3, s·h, s·w). Raises InputError where an optional
    engine does not work here.
    """
    try:
        return _make_network_function(network, backend)
    except Exception as error:  # an optional engine that is installed, but does not work here
        if backend.engine not in OPTIONAL:
            raise
        found = " ".join(str(error).split())[:100]
        raise InputError(f"{backend} does not work here ({found}); `engine=torch` does", "engine") from error


def _make_network_function(network: SRMD, backend: Backend) -> NetworkFunction:
    threads = torch.get_num_threads()
    if backend.engine == "ncnn":
        from srmd.backends.ncnn import ncnn_function

        return ncnn_function(network, backend.precision, threads, vulkan=backend.device == "vulkan")
    if backend.engine == "openvino":
        from srmd.backends.openvino import openvino_function

        return openvino_function(network, backend.precision, threads)
    return _torch_function(network, backend)


def _torch_function(network: SRMD, backend: Backend) -> NetworkFunction:
    """PyTorch, channels last."""
    device = torch.device(backend.device)
    network = copy.deepcopy(network).to(device, memory_format=torch.channels_last).eval()
    compute = network
    if backend.winograd:
        compute = partial(network, conv_relu=conv_relu_)
    elif backend.precision == "bf16":
        compute = Bfloat16Network(network)  # rounds by itself: no autocast
    autocast_precision = "fp16" if backend.precision == "fp16" else "fp32"

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        with autocast(device, autocast_precision), exact_convolutions(device):
            return compute(lr.to(device, memory_format=torch.channels_last), degradation_map.to(device)).cpu()

    return run
