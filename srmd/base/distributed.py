"""The processes of one command that torchrun has started: which of them this is, and what they tell each other.

torchrun (`python -m torch.distributed.run`) starts a command several times, on one or several machines, and describes
the processes in environment variables. A command that was started alone is one process; it imports nothing for this.
"""

import logging
import os
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self, TypeVar

from srmd.base.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")

logger = logging.getLogger("srmd")

# How long a process waits for the others. One may pack a large folder meanwhile; one that ends is noticed at once.
TIMEOUT = timedelta(hours=6)
SECONDS_FOR_FIRST = 10  # in which the first process reports an error that all have, before another one does
MAX_REASON = 150  # characters of a library's error that a message repeats


@dataclass
class Processes:
    """The processes of a command; by default it is one process.

    Attributes:
        rank: number of this process among all, from 0.
        count: number of processes on all machines.
        local_rank: number of this process among those on its machine.
        may_restart: whether torchrun starts the command again after an error.
        has_common_error: whether an error was raised in all processes, so that only the first one prints it.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    may_restart: bool = False
    has_common_error: bool = False

    @classmethod
    def of_environment(cls) -> Self:
        """The processes that torchrun has started; one, if the command was started alone.

        Raises InputError if the environment variables hold no numbers.
        """
        if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_MAX_RESTARTS")
        texts = {name: os.environ.get(name, "0") for name in names}
        try:
            rank, count, local_rank, restarts = map(int, texts.values())
        except ValueError as error:
            found = ", ".join(f"{name}={text!r}" for name, text in texts.items())
            raise InputError(f"expected whole numbers in torchrun's environment variables, found {found}") from error
        return cls(rank, count, local_rank, restarts > 0)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, prints messages and owns the dashboard."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        """Whether there is more than one process."""
        return self.count > 1

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every count-th item, from the rank on: each item belongs to one process."""
        return list(items[self.rank :: self.count])

    def part(self, length: int) -> slice:
        """This process's consecutive part of `length` samples; the parts differ by at most one sample."""
        return slice(self.rank * length // self.count, (self.rank + 1) * length // self.count)

    def device(self, name: str) -> str:
        """The device of this process for a device that all were given: with CUDA, a GPU for each process of a machine.

        Raises InputError if there are not enough GPUs, or if one is named by its number.
        """
        if not self.are_several or name == "cpu":
            return name
        import torch

        if name not in ("auto", "cuda"):
            raise InputError(f"expected auto, cpu or cuda, because each process takes its own, found {name}", "device")
        available = torch.cuda.device_count()
        if name == "auto" and not available:
            return "cpu"
        if self.local_rank >= available:
            problem = f"torchrun started more than {self.local_rank} processes on this machine"
            raise InputError(f"{problem}, found {available} CUDA devices", "device")
        return f"cuda:{self.local_rank}"

    # What follows is called by all processes, in the same order.

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Connects the processes for the time of the `with` block."""
        if not self.are_several:
            yield
            return
        import torch
        import torch.distributed as dist

        # Its functions have the process group as a default argument. Imported after the group is made, as the compiler
        # of PyTorch does, they would keep the group's threads alive while Python exits, which aborts now and then.
        import torch.distributed.nn.functional

        has_gpus = torch.cuda.is_available() and dist.is_nccl_available()
        with _ended_by_signals(), self._lost_process():
            store, rank, count = next(dist.rendezvous("env://", timeout=TIMEOUT))
            # After a restart the store may be the old one, with the addresses of processes that have ended.
            store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
            backend = "cpu:gloo,cuda:nccl" if has_gpus else "gloo"
            dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
        yield
        dist.destroy_process_group()  # not after an error: it would wait for processes that may have ended

    def from_first(self, value: Item) -> Item:
        """The value of the first process."""
        if not self.are_several:
            return value
        import torch.distributed as dist

        values = [value]
        with self._lost_process():
            dist.broadcast_object_list(values)
        return values[0]

    def gather(self, value: Item) -> list[Item]:
        """The values of all processes, by rank."""
        if not self.are_several:
            return [value]
        import torch.distributed as dist

        values: list = [None] * self.count
        with self._lost_process():
            dist.all_gather_object(values, value)
        return values

    def any(self, condition: bool) -> bool:
        """Whether the condition is true in any process."""
        if not self.are_several:
            return condition
        import torch
        import torch.distributed as dist

        true_count = torch.tensor([int(condition)])
        with self._lost_process():
            dist.all_reduce(true_count)
        return bool(true_count)

    def sum_weighted(self, tensors: list["Tensor"], weight: float) -> None:
        """Replaces tensors, in place, by their sums over the processes, each multiplied by its process's weight.

        All go in one message: the network's gradients are 6 MB in 25 tensors, of which 13 are small.
        """
        import torch
        import torch.distributed as dist

        together = torch.cat([tensor.flatten() for tensor in tensors]).mul_(weight)
        with self._lost_process():
            dist.all_reduce(together)
        parts = together.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    @contextmanager
    def common_errors(self) -> Iterator[None]:
        """Raises an error of one process inside the `with` block in all of them, at the end of the block.

        Otherwise the others would wait for the one that has failed. Inside the block the processes exchange nothing.
        """
        if not self.are_several:
            yield
            return
        error = None
        try:
            yield
        except Exception as raised:
            error = raised
        if not self.any(error is not None):
            return
        errors = self.gather(_portable(error))
        self.has_common_error = True
        raise error or next(filter(None, errors))

    @contextmanager
    def _lost_process(self) -> Iterator[None]:
        """Raises RuntimeError for the library's error if another process has ended."""
        try:
            yield
        except RuntimeError as error:
            self.has_common_error = True
            reason = " ".join(str(error).split())[:MAX_REASON]
            raise RuntimeError(f"another process of this command has ended or can't be reached ({reason})") from error

    def wait_for_first(self) -> None:
        """Gives the first process, if there is another, time to report an error that this one has found too.

        torchrun ends all processes as soon as one has failed.
        """
        if not self.is_first:
            time.sleep(SECONDS_FOR_FIRST)


def _portable(error: Exception | None) -> Exception | None:
    """The error itself if it can be sent to other processes, otherwise a RuntimeError with its message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # any exception: what an error holds is up to the library that raises it
        return RuntimeError(str(error) or type(error).__name__)
    return error


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM end the process at once, because Python's handlers would have to wait.

    A process that waits for the others in compiled code runs no handlers, and there is nothing to clean up yet.
    """
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
