"""Compares the speed of this package with that of other engines, for several scales and picture sizes.

    python -m benchmarks.engines    # some 15 minutes; prints a table for each size, and `ratio NAME X.XX` lines

This package runs the backend that `--engine=auto` chooses. Engines are compared in the same precision, and timed
alternately; at x2 also beside one and two processes that keep a core busy each. A ratio above 1: this package is faster
than the fastest of the others. The limit is the time of the multiplications alone, at the rate of a large matrix
product: in float32 by Winograd's F(6×6, 3×3). A ratio to the limit is that time divided by the time of this package.
Needs requirements-engines.txt.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands import check_installed, command_parser, one_line_errors
from benchmarks.load import LOADS, busy_processes
from srmd.backends.backend import Backend, make_network_function
from srmd.backends.choice import choose_backend
from srmd.backends.device import choose_device, choose_precision, processor_description
from srmd.base.arithmetic import ceil_div
from srmd.model import SRMD, NetworkConfig, NetworkFunction
from srmd.weights.export_onnx import LR, MAP, onnx_model
from srmd.winograd.transforms import INPUT_TILE, OUTPUT_TILE

SCALES = (2, 3, 4)
SIDES = (256, 512)  # LR pixels
LOADED_SCALE = 2  # the scale that is also measured on a busy machine
MATRIX_SIDE = 2048  # of the matrix product that the limit refers to
LIMIT = "limit"
ROUNDS = 5
MAX_SECONDS = 60  # after which no further round of a load starts, except the second

Times = dict[str, list[float]]  # by the name of the engine


def onnxruntime_function(network: SRMD) -> NetworkFunction:
    """A network without batch norm, run by ONNX Runtime."""
    import onnxruntime

    model = onnx_model(network, {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {LR: lr.numpy(), MAP: degradation_map.numpy()})[0])

    return run


def default_layout_function(network: SRMD) -> NetworkFunction:
    """A network in PyTorch with its default settings: eager mode, contiguous memory layout."""

    @torch.inference_mode()
    def run(lr: Tensor, degradation_map: Tensor) -> Tensor:
        return network(lr, degradation_map)

    return run


def network_functions(network: SRMD, backend: Backend, precision: str) -> dict[str, NetworkFunction]:
    """The network in this package's backend, first, and in the other engines, by name; all compute the same SR."""
    others = {
        f"{name} {precision}": make_network_function(network, Backend(name, precision, "cpu"))
        for name in ("openvino", "ncnn")
    }
    if precision == "fp32":
        others["onnxruntime fp32"] = onnxruntime_function(network)
    return (
        {f"this package ({backend})": make_network_function(network, backend)}
        | others
        | {"PyTorch fp32, default layout": default_layout_function(network)}
    )


def measure(functions: dict[str, Callable[[], object]]) -> Times:
    """Seconds of each function, in rounds that call all of them, after one round that is not counted."""
    times: Times = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + MAX_SECONDS
    for number in range(ROUNDS):
        if number > 1 and time.perf_counter() > end:
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def multiplications(network: SRMD, side: int) -> int:
    """Multiplications for one picture of side×side LR pixels, by Winograd's algorithm."""
    channel_pairs = sum(layer.conv.in_channels * layer.conv.out_channels for layer in network.chain())
    return ceil_div(side, OUTPUT_TILE) ** 2 * INPUT_TILE**2 * channel_pairs


def table(scale: int, side: int, precision: str) -> str:
    """Prints the seconds of each engine for one picture; returns the ratio lines."""
    network = SRMD(NetworkConfig(scale)).eval()
    backend = choose_backend(network, choose_device("cpu"), "auto", precision)
    lr, degradation_map = torch.rand(1, 3, side, side), torch.rand(1, network.config.map_channels, 1, 1)
    functions = network_functions(network, backend, precision)
    calls = {name: partial(function, lr, degradation_map) for name, function in functions.items()}
    if precision == "fp32":
        matrix = torch.rand(MATRIX_SIDE, MATRIX_SIDE)
        calls[LIMIT] = lambda: matrix @ matrix
    times, lines = {}, []
    for load in LOADS if scale == LOADED_SCALE else (0,):
        with busy_processes(load):
            times[load] = measure(calls)
        name = f"restore_x{scale}_{side}_{precision}_{LOADS[load].replace(' ', '_')}"
        lines.append(f"ratio {name} {ratio_to_fastest(times[load]):.2f}")
        if precision == "fp32":
            products = multiplications(network, side) / MATRIX_SIDE**3
            times[load][LIMIT] = [products * seconds for seconds in times[load][LIMIT]]
            lines.append(f"ratio {name}_to_limit {ratio_to_limit(times[load]):.2f}")
    print_table(f"x{scale}, {side}×{side}, {precision}", times)
    return "\n".join(lines)


def print_table(title: str, times: dict[int, Times]) -> None:
    """Prints the median seconds of each engine under each load, the fastest engine first."""
    print(f"\n| {title}, median s | {' | '.join(LOADS[load] for load in times)} |\n|---|{'---|' * len(times)}")
    medians = {name: [statistics.median(each[name]) for each in times.values()] for name in times[0]}
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        print(f"| {name} | {' | '.join(f'{each:.3f}' for each in seconds)} |", flush=True)


def ratio_to_fastest(times: Times) -> float:
    """The median over the rounds of the fastest other engine's time / that of this package, the first in `times`."""
    package_times, *other_times = (seconds for name, seconds in times.items() if name != LIMIT)
    fastest = min(other_times, key=statistics.median)
    return statistics.median(np.divide(fastest, package_times))


def ratio_to_limit(times: Times) -> float:
    """The median over the rounds of the limit's time / that of this package, the first in `times`."""
    return statistics.median(np.divide(times[LIMIT], next(iter(times.values()))))


@one_line_errors()
def main() -> None:
    """Prints all tables, then all ratios."""
    command_parser(__doc__).parse_args()
    for engine in ("ncnn", "onnxruntime", "openvino"):
        check_installed(engine, "-r requirements-engines.txt")
    print(f"{processor_description()}, {torch.get_num_threads()} threads")
    precisions = dict.fromkeys(["fp32", choose_precision("auto", choose_device("cpu"))])
    print("\n" + "\n".join([table(scale, side, p) for p in precisions for scale in SCALES for side in SIDES]))


if __name__ == "__main__":
    main()
