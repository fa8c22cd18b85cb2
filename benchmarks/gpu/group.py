"""`TrainingGroup`: networks that are trained side by side, each with its own batches, by one optimizer."""

import torch
from torch import Tensor

from benchmarks.gpu.timing import BATCH, FORWARD_BACKWARD, OPTIMIZER, PartTimes
from srmd.solver import RESET_EVERY, Solver
from srmd.train.batches import Batch
from srmd.train.soap import Soap

VALIDATION_PATCHES = 32
MadeBatch = tuple[Batch, torch.cuda.Event | None]  # with the event in the second stream after which it is complete


class TrainingGroup:
    """Solvers by the names of their networks, all on one device. In each round, each of them does a step.

    One `Soap` updates all networks, because it computes weights of one shape together: 60 inner layers of six networks
    in one batch of matrix products. On a CUDA GPU, each network's next batch is made in a second stream, while the
    first stream computes a step.
    """

    def __init__(self, solvers: dict[str, Solver]):
        self.solvers = solvers
        self.device = next(iter(solvers.values())).device
        self.optimizer = Soap([each for solver in solvers.values() for each in solver.network.parameters()], lr=0)
        self.losses: dict[str, Tensor] = {}  # of the last round
        self.times = PartTimes(self.device)
        self._ahead: dict[str, MadeBatch] = {}  # batches that were made ahead
        on_gpu = self.device.type == "cuda"
        self._batch_stream = torch.cuda.Stream(self.device) if on_gpu else None
        if self._batch_stream:  # the pictures are copied to the GPU in the present stream
            self._batch_stream.wait_stream(torch.cuda.current_stream(self.device))
        self._last_round = torch.cuda.Event() if on_gpu else None
        for solver in solvers.values():  # scores of this number of patches are steady, and take little time
            solver.validation_batch = Batch(*(tensor[:VALIDATION_PATCHES] for tensor in solver.validation_batch))

    def train_round(self, lr: float, reset_dormant: bool) -> None:
        """Do a step of each network. `reset_dormant` allows new weights for dormant features every thousand steps."""
        for name, solver in self.solvers.items():
            if reset_dormant and solver.step % RESET_EVERY == 0:
                solver.reset_dormant()
            solver.step += 1
            batch = self._take_batch(name)
            with self.times.measure(FORWARD_BACKWARD, name):
                self.losses[name] = solver.forward_backward(batch)
            self._ahead[name] = self._draw(name, solver.step + 1)
        with self.times.measure(OPTIMIZER):
            self.optimizer.param_groups[0]["lr"] = lr
            self.optimizer.step()
            for solver in self.solvers.values():
                solver.update_ema()
        self._limit_queue()

    def _take_batch(self, name: str) -> Batch:
        """Return the batch of the network's present step; the present stream waits until it is made."""
        number = self.solvers[name].step
        batch, made = self._ahead.pop(name) if name in self._ahead else self._draw(name, number)
        if made:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(made)
            for tensor in batch:  # its memory may be used again only after this stream has read it
                tensor.record_stream(stream)
        return batch

    def _draw(self, name: str, number: int) -> MadeBatch:
        if not self._batch_stream:
            with self.times.measure(BATCH, name):
                return self.solvers[name].batches.draw(number), None
        with torch.cuda.stream(self._batch_stream):
            with self.times.measure(BATCH, name):
                batch = self.solvers[name].batches.draw(number)
            return batch, self._batch_stream.record_event()

    def _limit_queue(self) -> None:
        """Wait until the GPU has finished the round before this one.

        Without a limit, the CPU would run far ahead of the GPU: batches would fill the memory, and a learning rate that
        was chosen by the clock would be used much later.
        """
        if self._last_round:
            before, self._last_round = self._last_round, torch.cuda.Event()
            self._last_round.record()
            self.times.wait(before)
