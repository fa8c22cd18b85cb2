"""A GPU's training step: compiled by torch.compile, and captured in a CUDA graph that is replayed for each batch.

Compiling fuses bias, ReLU and their gradients, which would otherwise be separate kernels that each read and write all
features. Replaying the graph launches the hundreds of kernels of forward and backward at once: at the default batch
size, launching one takes longer than running it. A graph always reads from and writes to the memory it was captured
with. Each batch is therefore copied to the same tensors.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from srmd.train.batches import Batch
from srmd.train.forward_backward import ForwardBackward

logger = logging.getLogger("srmd")

# torch.compile keeps this number of versions of a function, and fails at one more. The steps of several networks that
# are trained side by side are versions of one function; torch's own limit is 8.
MAX_COMPILED_STEPS = 64
WARM_UPS = 3  # runs before capturing: cuDNN chooses its algorithms in them, and the allocator gets its memory


def fast_convolutions(precision: str) -> AbstractContextManager[None]:
    """Return the context in which to capture a step: cuDNN benchmarks its algorithms and takes the fastest.

    With fp16 and bf16, the first and the last layer, which stay in float32, may use TF32 (11 significant bits). That
    changes pixels by at most 0.06 of 255. In full float32, by an H100's specifications, these 2 % of the operations
    would take a fifth of the time.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=precision != "fp32")


def torch_compiled(function: Callable[..., Tensor], *example: Tensor) -> Callable[..., Tensor]:
    """Return a differentiable function compiled for inputs of the shapes of `example`.

    Compiling needs Triton and a C compiler. Without them, return the function itself, with a warning.
    """
    fast = torch.compile(function, fullgraph=True, dynamic=False)
    try:
        with torch._dynamo.config.patch(recompile_limit=MAX_COMPILED_STEPS):
            fast(*example).backward()
    except Exception as error:  # a compiler can fail in any way, and training is possible without it
        reason = str(error).strip().partition("\n")[0][:100]
        logger.warning("the training step is not compiled (%s): it will be slower", reason)
        return function
    return fast


def cuda_graph(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture `work` in a CUDA graph; return a function that replays it and returns its updated result."""
    side_stream = torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]  # a function such as `cuda_graph`


class CudaGraphStep:
    """A function of a batch, captured in a CUDA graph. Each call overwrites the tensor that the last one returned."""

    def __init__(self, function: Callable[[Batch], Tensor], static_batch: Batch, capture: Capture):
        """`static_batch` holds the tensors that the graph reads; they are overwritten with each batch."""
        self._static_batch = static_batch
        self._replay = capture(lambda: function(static_batch))

    def __call__(self, batch: Batch) -> Tensor:
        for target, source in zip(self._static_batch, batch, strict=True):
            target.copy_(source)
        return self._replay()


def capture_step(
    forward_backward: ForwardBackward,
    example: Batch,
    compiled: Callable[..., Callable[..., Tensor]] = torch_compiled,
    capture: Capture = cuda_graph,
) -> Callable[[Batch], Tensor]:
    """Return a function that runs forward and backward, compiled and captured, on batches of the shapes of `example`.

    The network is not changed. Tests without a GPU replace `compiled` and `capture`.
    """
    network = forward_backward.network
    buffers = [buffer.clone() for buffer in network.buffers()]
    network.train()
    with fast_convolutions(forward_backward.precision):
        batch = Batch(*(tensor.clone() for tensor in example))
        forward_backward.compute_loss = compiled(forward_backward.loss, batch.lr, batch.degradation_map, batch.hr)
        step = CudaGraphStep(forward_backward, batch, capture)
    # The warm-up runs have updated the statistics of batch norm.
    for buffer, value in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(value)
    return step
