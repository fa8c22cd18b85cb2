"""Networks in OpenVINO."""

import threading
from functools import cache

import numpy as np
import torch
from torch import Tensor

from srmd.model import SRMD, NetworkFunction, network_input

_core_lock = threading.Lock()


def openvino_function(network: SRMD, precision: str, threads: int) -> NetworkFunction:
    """Return a network without batch norm, with the sub-pixel head, as a function (LR, degradation map) → SR.

    All are float32: LR (1, 3, h, w), the map (1, C, h, w) or (1, C, 1, 1), SR (1, 3, s·h, s·w).
    """
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    with _core_lock:  # two threads would make two cores
        core = _core()
    model = core.compile_model(_make_model(network), "CPU", settings)
    local = threading.local()  # an infer request per thread: threads that shared one would mix up their results

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        if not hasattr(local, "request"):
            local.request = model.create_infer_request()
        results = local.request.infer([network_input(lr, degradation_map).numpy()])
        return torch.from_numpy(results[0].copy())

    return run


@cache
def _core():
    """The only `openvino.Core` of the process, which is never deleted.

    A core installs an alternate signal stack, and reinstalls the one before when it is deleted. If the core before was
    deleted first, its stack is no longer mapped, and the next signal, such as Ctrl-C, crashes the process.
    """
    import openvino

    return openvino.Core()


def _make_model(network: SRMD):
    from openvino import Model, PartialShape
    from openvino import opset13 as ops

    def to_array(tensor: Tensor) -> np.ndarray:
        return tensor.detach().float().contiguous().numpy()

    model_input = ops.parameter(PartialShape([1, 3 + network.config.map_channels, -1, -1]), np.float32)
    x = model_input
    for _, conv, relu in network.chain():
        x = ops.convolution(x, to_array(conv.weight), [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.add(x, to_array(conv.bias)[None, :, None, None])
        if relu:
            x = ops.relu(x)
    sr = ops.depth_to_space(x, "depth_first", network.config.scale)
    return Model([sr], [model_input])
