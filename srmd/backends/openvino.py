"""A network in OpenVINO."""

import threading

import numpy as np
import torch
from torch import Tensor

from srmd.model import SRMD, NetworkFunction, network_input


def openvino_function(network: SRMD, precision: str, threads: int) -> NetworkFunction:
    """A network with merged batch norm and the sub-pixel head as a function (LR, map) → SR, (1, C, h, w), float32."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(_model(network), "CPU", settings)

    requests = threading.local()  # one for each thread: threads that share one get each other's pictures

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        if not hasattr(requests, "own"):
            requests.own = model.create_infer_request()
        return torch.from_numpy(requests.own.infer([network_input(lr, degradation_map).numpy()])[0].copy())

    return run


def _model(network: SRMD):
    from openvino import Model, PartialShape
    from openvino import opset13 as ops

    def array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().float().contiguous().numpy()

    x = given = ops.parameter(PartialShape([1, 3 + network.config.map_channels, -1, -1]), np.float32)
    for _, conv, relu in network.chain():
        x = ops.convolution(x, array(conv.weight), [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.add(x, array(conv.bias)[None, :, None, None])
        x = ops.relu(x) if relu else x
    return Model([ops.depth_to_space(x, "depth_first", network.config.scale)], [given])
