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


class CudaGraphStep:
    """A function of batches, recorded at one place, to which each is copied; its result holds until the next call."""

    def __init__(self, function: Callable[[Batch], Tensor], place: Batch):
        self._place = place
        self._play = cuda_graph(lambda: function(place))

    def __call__(self, batch: Batch) -> Tensor:
        for ours, given in zip(self._place, batch, strict=True):
            ours.copy_(given)
        return self._play()


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
