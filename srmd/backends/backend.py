"""A backend, and how it runs a network: an engine (PyTorch, ncnn or OpenVINO) with its precision and device."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from srmd.backends.bfloat16 import Bfloat16Network
from srmd.backends.device import autocast, exact_convolutions
from srmd.base.errors import InputError
from srmd.base.signals import deferred_signals
from srmd.model import SRMD, NetworkConfig, NetworkFunction
from srmd.winograd.convolution import InferenceConv

OPTIONAL_ENGINES = ("ncnn", "openvino")
# Sides in LR pixels of the tiles in which large pictures are restored. The features of 512×512 take 134 MB in float32.
TORCH_TILE = 516  # a multiple of Winograd's output tiles
NCNN_TILE = 384  # ncnn stores the Winograd transform of the whole tile, which is larger than its features


@dataclass(frozen=True)
class Backend:
    """A way to run a network."""

    engine: str  # torch, ncnn or openvino
    precision: str  # fp32, bf16 or fp16
    device: str  # cpu, cuda[:N], mps or vulkan
    winograd: bool = False  # torch only: whether to use srmd/winograd; the other engines choose an algorithm themselves

    def __str__(self) -> str:
        engine = f"{self.engine} winograd" if self.winograd else self.engine
        return f"{engine} {self.precision} {self.device}"

    def tile(self, config: NetworkConfig) -> int:
        """Return the side in LR pixels of the tiles in which this backend restores large pictures."""
        tile = NCNN_TILE if self.engine == "ncnn" else TORCH_TILE
        if config.head == "upsample":  # its last features are as large as HR
            return tile // config.scale
        return tile


def make_network_function(network: SRMD, backend: Backend) -> NetworkFunction:
    """Return a network without batch norm as a function (LR, degradation map) → SR, run by a backend.

    The function takes and returns float32 tensors on the CPU: LR (1, 3, h, w), the map (1, C, h, w) or (1, C, 1, 1),
    SR (1, 3, s·h, s·w). Raises InputError if an optional engine is installed, but does not work on this machine.
    """
    try:
        if backend.engine not in OPTIONAL_ENGINES:
            return _torch_function(network, backend)
        with deferred_signals():  # otherwise Ctrl-C during the import of an engine looks like an engine that fails
            return _optional_engine_function(network, backend)
    except Exception as error:  # an optional engine can fail in many ways, such as by a missing library
        if backend.engine not in OPTIONAL_ENGINES:
            raise
        reason = " ".join(str(error).split())[:100]
        problem = f"{backend} does not work on this machine ({reason})"
        raise InputError(f"{problem}; `engine=torch` does", "engine") from error


def _optional_engine_function(network: SRMD, backend: Backend) -> NetworkFunction:
    threads = torch.get_num_threads()
    if backend.engine == "ncnn":
        from srmd.backends.ncnn import ncnn_function

        return ncnn_function(network, backend.precision, threads, vulkan=backend.device == "vulkan")
    from srmd.backends.openvino import openvino_function

    return openvino_function(network, backend.precision, threads)


def _torch_function(network: SRMD, backend: Backend) -> NetworkFunction:
    device = torch.device(backend.device)
    network = copy.deepcopy(network).to(device, memory_format=torch.channels_last).eval()
    compute = network
    if backend.winograd:
        unused: list[InferenceConv] = []  # of the last call; concurrent calls make their own, and one of them is kept

        def compute(lr: Tensor, degradation_map: Tensor) -> Tensor:
            try:
                conv = unused.pop()
            except IndexError:
                conv = InferenceConv()
            try:
                return network(lr, degradation_map, conv)
            finally:  # also if the caller ends the computation between two layers
                unused[:] = [conv]

    elif backend.precision == "bf16":
        compute = Bfloat16Network(network)
    # Bfloat16Network chooses the precision of each operation itself: no autocast.
    autocast_precision = "fp16" if backend.precision == "fp16" else "fp32"

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        with autocast(device, autocast_precision), exact_convolutions(device):
            return compute(lr.to(device, memory_format=torch.channels_last), degradation_map.to(device)).cpu()

    return run
