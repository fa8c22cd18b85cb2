"""A program that test_distributed starts by torchrun: what two processes tell each other in a training step.

Each process writes `rank-RANK.pt`: loss, gradients and weights after the first step, and what it was told.
"""

import sys
from pathlib import Path

import torch

from small_solvers import small_solver
from srmd.base.distributed import Processes
from srmd.base.errors import InputError
from srmd.packs.reader import PackedPictures


def common_error(processes: Processes) -> str:
    """The error that this process raises after the second one has found one."""
    try:
        with processes.common_errors():
            if processes.rank == 1:
                raise InputError("expected pictures, found none", "train_data")
    except InputError as error:
        return str(error)
    return "no error"


def main(pack: Path) -> None:
    processes = Processes.of_environment()
    with processes.joined():
        solver = small_solver(PackedPictures(pack))
        solver.processes, solver.part = processes, processes.part(solver.config.batch_size)
        loss = solver.training_step()
        parameters = list(solver.network.parameters())
        result = {
            "loss": loss,
            "gradients": [parameter.grad for parameter in parameters],
            "parameters": [parameter.detach() for parameter in parameters],
            "of_first": processes.from_first(processes.rank),
            "gathered": processes.gather(processes.rank),
            "any": processes.any(processes.rank == 1),
            "none": processes.any(False),
            "error": common_error(processes),
        }
        torch.save(result, f"rank-{processes.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
