"""A GPU's training step: compiled, recorded once as a CUDA graph, and played back.

Compiling joins bias, ReLU and their gradients, which else read and write every feature once more. Playing back queues
the hundreds of kernels of forward and backward at once: at the default batch size queueing each takes longer than its
work. A graph reads and writes where it did when it was recorded, so batches are copied to one place.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from srmd.train.batches import Batch
from srmd.train.forward_backward import ForwardBackward

logger = logging.getLogger("srmd")

WARM_UPS = 3  # until cuDNN has tried its algorithms and all memory is there


def fast_convolutions(precision: str) -> AbstractContextManager[None]:
    """The context in which a step is recorded: cuDNN tries which algorithm is the fastest.

    In 16 bits the outer layers, which stay in float32, may multiply 11 bits (TF32): that moves a pixel by 0.06 of 255
    at most, and without it these 2 % of the operations would take, by an H100's figures, a fifth of the time.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=precision != "fp32")


def torch_compiled(function: Callable[..., Tensor], *example: Tensor) -> Callable[..., Tensor]:
    """A differentiable function compiled, or as it is where this machine can't: that takes Triton and a C compiler."""
    fast = torch.compile(function, fullgraph=True, dynamic=False)
    try:
        fast(*example).backward()
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0][:100]
        logger.warning("the step is not compiled, only recorded (%s)", reason)
        return function
    return fast


def cuda_graph(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Records some work on the device; a call plays it back and gives the tensor that the work gave, filled anew."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def play() -> Tensor:
        graph.replay()
        return result

    return play


Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


class CudaGraphStep:
    """A function of batches, recorded for the tensors `inputs`; the result is overwritten by the next call."""

    def __init__(self, function: Callable[[Batch], Tensor], inputs: Batch, recorder: Recorder):
        self._inputs = inputs
        self._replay = recorder(lambda: function(inputs))

    def __call__(self, batch: Batch) -> Tensor:
        for recorded, tensor in zip(self._inputs, batch, strict=True):
            recorded.copy_(tensor)
        return self._replay()


def captured(
    forward_backward: ForwardBackward,
    example: Batch,
    compiler: Callable[..., Callable[..., Tensor]] = torch_compiled,
    recorder: Recorder = cuda_graph,
) -> Callable[[Batch], Tensor]:
    """Forward and backward compiled and recorded, as a function of batches of the shapes of `example`.

    It leaves the network as it was. `compiler` and `recorder` are `torch_compiled` and `cuda_graph`, but for tests.
    """
    network = forward_backward.network
    buffers_before = [buffer.clone() for buffer in network.buffers()]
    network.train()
    with fast_convolutions(forward_backward.precision):
        inputs = Batch(*(tensor.clone() for tensor in example))
        patches = inputs.lr, inputs.degradation_map, inputs.hr
        forward_backward.loss_of_patches = compiler(forward_backward.loss, *patches)
        step = CudaGraphStep(forward_backward, inputs, recorder)
    for buffer, before in zip(network.buffers(), buffers_before, strict=True):
        buffer.copy_(before)
    return step
