"""Exports a network to ONNX. The optional package onnx is imported only here."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from srmd.model import SRMD

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET = 20
IR_VERSION = 9  # the first that has opset 20
LR, MAP, SR = "lr", "degradation_map", "sr"


@torch.no_grad()
def onnx_model(
    network: SRMD, metadata: dict[str, str], float16: bool = False, degradation_map: Tensor | None = None
) -> "ModelProto":
    """The ONNX model of a network without batch norm, with `metadata` in its properties.

    Its inputs are `lr` (N, 3, h, w) and `degradation_map` (N, C, h, w) or (N, C, 1, 1), its output is `sr`
    (N, 3, s·h, s·w), not clipped; N, h and w are free. With the map (1, C, 1, 1) built in, `lr` is its only input. All
    are float32, or float16.
    """
    import onnx
    from onnx import helper

    graph = _Graph(np.dtype(np.float16 if float16 else np.float32))
    inputs = [graph.value(LR, ["batch", 3, "height", "width"])]
    if degradation_map is None:
        channels = network.config.map_channels
        inputs.append(graph.value(MAP, ["map_batch", channels, "map_height", "map_width"]))
        graph.add_network(network, MAP)
    else:
        graph.add_network(network, graph.constant(MAP, degradation_map))
    outputs = [graph.value(SR, ["batch", 3, "sr_height", "sr_width"])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "srmd", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="srmd",
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """The nodes and constants of an ONNX graph whose numbers have one floating-point type."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def value(self, name: str, shape: list[int | str]):
        """The description of an input or output; a name in its shape is a free size."""
        from onnx import helper

        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(self.dtype), shape)

    def constant(self, name: str, tensor: Tensor, dtype: np.dtype | None = None) -> str:
        """Adds a constant, by default in the graph's type, and returns its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(tensor.numpy().astype(dtype or self.dtype))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node and returns the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def add_network(self, network: SRMD, degradation_map: str) -> None:
        """Adds the nodes that compute SR from LR and the value `degradation_map`."""
        value = self.node("Concat", [LR, self._expand_to_lr(degradation_map)], "network_input", axis=1)
        *body, head = network.chain()
        for layer in body:
            value = self._convolution(layer.name, layer.conv, value)
            value = self.node("Relu", [value], f"{layer.name}.relu")
        scale = network.config.scale
        if network.config.head == "subpixel":
            value = self._convolution(head.name, head.conv, value)
            self.node("DepthToSpace", [value], SR, blocksize=scale, mode="CRD")
        else:
            factors = self.constant("factors", torch.tensor([1.0, 1.0, scale, scale]), np.dtype(np.float32))
            value = self.node("Resize", [value, "", factors], "upsampled", mode="linear")
            self.node("Sigmoid", [self._convolution(head.name, head.conv, value)], SR)

    def _expand_to_lr(self, degradation_map: str) -> str:
        """Adds nodes that expand a map of one pixel, or for one picture, to the size of LR."""
        batch = self.node("Shape", [LR], "batch_size", start=0, end=1)
        size = self.node("Shape", [LR], "lr_size", start=2)
        one = self.constant("one", torch.ones(1), np.dtype(np.int64))
        shape = self.node("Concat", [batch, one, size], "map_shape", axis=0)
        return self.node("Expand", [degradation_map, shape], "expanded_map")

    def _convolution(self, name: str, conv: torch.nn.Conv2d, value: str) -> str:
        parameters = [self.constant(f"{name}.{key}", tensor.detach()) for key, tensor in conv.named_parameters()]
        return self.node("Conv", [value, *parameters], name, pads=[1, 1, 1, 1])
