"""Exports a network to ncnn, with the blob names of Real-ESRGAN's networks, which programs for ncnn expect.

Such programs are built with few of ncnn's layers. Only convolutions and a pixel shuffle are used here.
"""

import torch
from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.ncnn_format import Convolution, write_ncnn
from srmd.model import SRMD
from srmd.weights.bake import baking_convolution

INPUT_BLOB, OUTPUT_BLOB = "data", "output"


@torch.no_grad()
def ncnn_export(network: SRMD, float16: bool = False, degradation_map: Tensor | None = None) -> tuple[str, bytes]:
    """The contents of .param and .bin of a network without batch norm.

    The input is LR and degradation map, 3 + C channels, or with the map (1, C, 1, 1) built in, LR alone. Raises
    InputError for the head `upsample`.
    """
    if network.config.head != "subpixel":
        raise InputError(f"expected onnx for the head {network.config.head}, found ncnn", "export_format")
    tensors = [(layer.conv.weight, layer.conv.bias, layer.relu) for layer in network.chain()]
    if degradation_map is not None:
        tensors.insert(0, (*baking_convolution(degradation_map), False))
    chain = [Convolution(weight.float().numpy(), bias.float().numpy(), relu) for weight, bias, relu in tensors]
    return write_ncnn(chain, network.config.scale, INPUT_BLOB, OUTPUT_BLOB, float16)
