"""Networks in ncnn, which has Winograd convolutions in float32 for any CPU and runs on any maker's GPU by Vulkan."""

import ctypes.util

import numpy as np
import torch
from torch import Tensor

from srmd.base.ncnn_format import Convolution, write_ncnn
from srmd.model import SRMD, NetworkFunction, network_input

VULKAN_TYPE_CPU = 3  # ncnn's type number of a Vulkan device that is emulated by the CPU


def has_vulkan() -> bool:
    """Whether this machine has a GPU with a Vulkan driver.

    ncnn is not asked if the Vulkan library is missing, because it then prints many lines of errors.
    """
    if ctypes.util.find_library("vulkan") is None:
        return False
    import ncnn

    return any(ncnn.get_gpu_info(i).type() != VULKAN_TYPE_CPU for i in range(ncnn.get_gpu_count()))


def ncnn_function(network: SRMD, precision: str, threads: int, vulkan: bool = False) -> NetworkFunction:
    """Return a network without batch norm, with the sub-pixel head, as a function (LR, degradation map) → SR.

    All are float32: LR (1, 3, h, w), the map (1, C, h, w) or (1, C, 1, 1), SR (1, 3, s·h, s·w).
    """
    import ncnn

    net = ncnn.Net()
    options = net.opt
    options.num_threads = threads
    options.use_vulkan_compute = vulkan
    options.use_bf16_storage = precision == "bf16"
    options.use_fp16_storage = options.use_fp16_packed = options.use_fp16_arithmetic = False
    param, binary = ncnn_files(network)
    if net.load_param_mem(param) or net.load_model_mem(binary):
        raise RuntimeError("ncnn does not take the network")

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        x = network_input(lr, degradation_map)[0].numpy()  # must live until `extract` returns: ncnn does not copy it
        extractor = net.create_extractor()
        extractor.input("x", ncnn.Mat(x))
        code, sr = extractor.extract("sr")
        if code:  # NumPy would crash on an empty matrix
            raise RuntimeError(f"ncnn failed to restore (its error {code}; -100: too little memory)")
        return torch.from_numpy(np.array(sr))[None]

    return run


def ncnn_files(network: SRMD) -> tuple[str, bytes]:
    """Return the contents of ncnn's .param and .bin file of a network with input blob `x` and output blob `sr`."""
    chain = (
        Convolution(conv.weight.detach().float().numpy(), conv.bias.detach().float().numpy(), relu)
        for _, conv, relu in network.chain()
    )
    return write_ncnn(chain, network.config.scale, "x", "sr")
