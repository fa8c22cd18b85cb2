"""How fast networks run here beside other engines, in turns within one run.

    python -m benchmarks.engines    # some ten minutes; prints a table a scale, and `ratio NAME X.XX` lines

Ours is what `--engine=auto` takes; float32 stands against float32, bfloat16 against bfloat16. A ratio above 1: ours is
faster than the fastest of the others, each at its best setting. Needs benchmarks/requirements.txt.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import choose_backend
from srmd.backends.device import choose_device, choose_precision, processor_description
from srmd.model import SRMD, NetworkConfig, NetworkFunction, network_input

SCALES, SIDES = (2, 3, 4), (256, 512)
ROUNDS = 5
MAX_SECONDS = 60  # for the rounds of one table


def onnxruntime_function(network: SRMD) -> NetworkFunction:
    """A network in ONNX Runtime; sub-pixel head, no batch norm."""
    nodes, tensors, blob = [], [], "x"
    for number, (_, conv, relu) in enumerate(network.chain()):
        names = [f"weight{number}", f"bias{number}"]
        tensors += [
            numpy_helper.from_array(t.detach().numpy(), n) for t, n in zip((conv.weight, conv.bias), names, strict=True)
        ]
        nodes.append(helper.make_node("Conv", [blob, *names], [f"y{number}"], pads=[1, 1, 1, 1]))
        blob = f"y{number}"
        if relu:
            nodes.append(helper.make_node("Relu", [blob], [f"z{number}"]))
            blob = f"z{number}"
    nodes.append(helper.make_node("DepthToSpace", [blob], ["sr"], blocksize=network.config.scale, mode="CRD"))
    shape = [1, 3 + network.config.map_channels, "h", "w"]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("sr", TensorProto.FLOAT, [1, 3, "sh", "sw"])
    graph = helper.make_graph(nodes, "srmd", [given], [result], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"x": network_input(lr, degradation_map).numpy()})[0])

    return run


def default_layout_function(network: SRMD) -> NetworkFunction:
    """PyTorch as it comes: eager, in its default layout."""

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        return network(lr, degradation_map)

    return run


def runs(network: SRMD, ours: Backend, precision: str) -> dict[str, NetworkFunction]:
    """Ours and the others, all of them equal in what they compute, by name."""
    others = {
        f"{name} {precision}": make_network_function(network, Backend(name, precision, "cpu"))
        for name in ("openvino", "ncnn")
    }
    if precision == "fp32":
        others["onnxruntime fp32"] = onnxruntime_function(network)
    return (
        {f"ours ({ours})": make_network_function(network, ours)}
        | others
        | {"PyTorch fp32, default layout": default_layout_function(network)}
    )


def measure(runs: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each, taken in turns; the first turn, in which engines prepare themselves, does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.perf_counter() + MAX_SECONDS
    for turn in range(ROUNDS):
        if turn > 1 and time.perf_counter() > end:
            break
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def table(scale: int, side: int, precision: str) -> str:
    """Prints the seconds of a picture; the ratio line of ours to the fastest of the others."""
    network = SRMD(NetworkConfig(scale)).eval()
    ours = choose_backend(network, choose_device("cpu"), "auto", precision)
    lr, degradation_map = torch.rand(1, 3, side, side), torch.rand(1, network.config.map_channels, 1, 1)
    times = measure(
        {name: lambda run=run: run(lr, degradation_map) for name, run in runs(network, ours, precision).items()}
    )
    print(f"\n| x{scale}, {side}×{side}, {precision} | median s | fastest s |\n|---|---|---|")
    for name, taken in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        print(f"| {name} | {statistics.median(taken):.3f} | {min(taken):.3f} |", flush=True)
    first, *others = times.values()
    fastest = min(others, key=statistics.median)
    ratio = statistics.median(np.divide(fastest, first))
    return f"ratio restore_x{scale}_{side}_{precision} {ratio:.2f}"


def main() -> None:
    """Prints all tables, then all ratios."""
    print(f"{processor_description()}, {torch.get_num_threads()} threads")
    precisions = dict.fromkeys(["fp32", choose_precision("auto", choose_device("cpu"))])
    print("\n" + "\n".join([table(scale, side, p) for p in precisions for scale in SCALES for side in SIDES]))


if __name__ == "__main__":
    main()
