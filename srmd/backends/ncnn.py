"""A network in ncnn: Winograd's algorithm in float32 on any CPU, and other makers' GPUs by Vulkan."""

import ctypes.util
import struct

import numpy as np
import torch
from torch import Tensor

from srmd.model import SRMD, NetworkFunction, network_input

SOFTWARE = 3  # the type of a Vulkan device that is a processor
FLOAT32 = struct.pack("<I", 0)  # the tag in front of weights


def has_vulkan() -> bool:
    """Whether Vulkan drives a GPU here; ncnn complains at length where its library is missing, and isn't asked."""
    if ctypes.util.find_library("vulkan") is None:
        return False
    import ncnn

    return any(ncnn.get_gpu_info(i).type() != SOFTWARE for i in range(ncnn.get_gpu_count()))


def ncnn_function(network: SRMD, precision: str, threads: int, vulkan: bool = False) -> NetworkFunction:
    """A network with merged batch norm and the sub-pixel head as a function (LR, map) → SR, (1, C, h, w), float32."""
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
        picture = network_input(lr, degradation_map)[0].numpy()  # ncnn reads it where it lies, as late as in `extract`
        extractor = net.create_extractor()
        extractor.input("x", ncnn.Mat(picture))
        _, sr = extractor.extract("sr")
        return torch.from_numpy(np.array(sr))[None]

    return run


def ncnn_files(network: SRMD) -> tuple[str, bytes]:
    """What ncnn's .param and .bin say of a network; blobs x → sr."""
    layers, binary, blob = ["Input input 0 1 x"], [], "x"
    for number, (_, conv, relu) in enumerate(network.chain()):
        sizes = f"0={conv.out_channels} 1=3 4=1 5=1 6={conv.weight.numel()}"
        activation = " 9=1" if relu else ""
        layers.append(f"Convolution conv{number} 1 1 {blob} y{number} {sizes}{activation}")
        blob = f"y{number}"
        tensors = (tensor.detach().float().contiguous().numpy() for tensor in (conv.weight, conv.bias))
        binary += [FLOAT32, *(tensor.astype("<f4").tobytes() for tensor in tensors)]
    layers.append(f"PixelShuffle shuffle 1 1 {blob} sr 0={network.config.scale}")
    return "\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers, ""]), b"".join(binary)
