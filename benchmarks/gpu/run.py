"""A job of a run: trains the networks until its time is over, and writes their files every few minutes."""

import json
import logging
import math
from pathlib import Path

import torch

from benchmarks.gpu.clock import Clock, learning_rate, since_start
from benchmarks.gpu.group import TrainingGroup
from benchmarks.gpu.settings import Settings, store_settings
from benchmarks.gpu.state import Progress, load_states, save_states
from benchmarks.gpu.timing import FORWARD_BACKWARD, OPTIMIZER, PARTS, table
from benchmarks.training import MATRIX_SIDE, matrix_product_rate, step_operations
from srmd.backends.device import choose_device, processor_description
from srmd.base.errors import Stopped
from srmd.base.files import atomic_write, make_folder
from srmd.base.signals import stop_requests
from srmd.packs.training_data import open_training_data
from srmd.solver import Solver
from srmd.train.memory import cache_pictures
from srmd.train.run_folder import RunFolder

logger = logging.getLogger("srmd")

CPU_MATRIX_SIDE = 64  # a CPU's rate is only logged


def make_group(settings: Settings, command: str) -> TrainingGroup:
    """Return the networks with their batches, compiled and captured on a GPU. All share one copy of the pictures."""
    device = choose_device("auto")
    path = Path(settings.train_data) if settings.train_data else None
    training, validation = open_training_data(path).split()
    pictures = cache_pictures(training, "auto", device)
    solvers = {}
    for name in settings.networks:
        start = since_start()
        solvers[name] = Solver(settings.config(name, command), training, validation)
        solvers[name].batches.pictures = pictures
        logger.info("%s is ready, %.1f s", name, since_start() - start)
    logger.info("pictures: %d, %s", len(training), pictures.location)
    return TrainingGroup(solvers)


def run_job(
    folder: Path, settings: Settings, minutes: float, save_minutes: float, command: str
) -> tuple[bool, list[str]]:
    """Train for some minutes. Return whether the whole run is finished, and the names of networks that diverged.

    Raises Stopped on a signal, after saving, and InputError if the settings differ from those of the run in the folder.
    """
    make_folder(folder)
    store_settings(folder, settings)
    group = make_group(settings, command)
    progress = load_states(folder, group)
    clock = Clock(60 * settings.total_minutes, 60 * minutes)
    if progress:
        clock.before, clock.begin = progress.elapsed, progress.begin
        if clock.before >= clock.total:
            logger.info("The run in %s is finished", folder)
            return True, []
    job = Job(folder, settings, group, clock)
    job.train(60 * save_minutes)
    return clock.is_finished(), job.diverged


class Job:
    """The loop over the rounds of steps, with saving and logging."""

    def __init__(self, folder: Path, settings: Settings, group: TrainingGroup, clock: Clock):
        self.folder, self.settings, self.group, self.clock = folder, settings, group, clock
        self.metrics = RunFolder(folder)
        self.diverged: list[str] = []
        side = MATRIX_SIDE if group.device.type == "cuda" else CPU_MATRIX_SIDE
        self.matrix_rate = matrix_product_rate(group.device, side)
        self._drop_later_rows()
        self.first_psnr = self._first_psnr()

    def _drop_later_rows(self) -> None:
        """Drop rows of metrics.jsonl that were written after the state that is continued from, and half lines."""
        rows = [row for row in self.metrics.json_rows() if row.get("elapsed", math.inf) <= self.clock.before]
        with atomic_write(self.metrics.metrics) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def _first_psnr(self) -> dict[str, float]:
        """Return the PSNR of each network before the run; a new run logs it."""
        rows = {row["network"]: row for row in self.metrics.json_rows() if row["step"] == 0}
        for name, solver in self.group.solvers.items():
            if name not in rows:
                rows[name] = {"step": 0, "network": name, "elapsed": 0.0} | solver.validate(solver.validation_sr())
                self.metrics.append(rows[name])
        return {name: row["psnr_y"] for name, row in rows.items()}

    def train(self, save_seconds: float) -> None:
        """Train until the job is over, save, and raise `Stopped` if a signal ended it before that."""
        device = torch.cuda.get_device_name() if self.group.device.type == "cuda" else processor_description()
        logger.info("%s, matrix product: %.3g TFLOP/s", device, self.matrix_rate / 1e12)
        logger.info("training begins %.0f s after the start of this job", since_start())
        self.clock.begin_training()
        rounds, interval_start = 0, since_start()  # since the files were written last
        with stop_requests() as stop:
            while not stop and not self.clock.is_over():
                share = self.clock.share()
                lr = learning_rate(self.settings.lr, share)
                self.group.train_round(lr, reset_dormant=share <= 1 / 2)
                rounds += 1
                if since_start() - interval_start >= save_seconds:
                    self._save(rounds, since_start() - interval_start, lr)
                    rounds, interval_start = 0, since_start()
            if rounds:
                self._save(rounds, since_start() - interval_start, lr)
        if stop:
            raise Stopped(stop[0])

    def _save(self, rounds: int, seconds: float, lr: float) -> None:
        """Write the networks' files, then the log, and print the table. Networks that diverged keep their old files."""
        times = self.group.times.take()  # waits for the device
        waited = self.group.times.take_waited() / seconds
        self._find_diverged()
        healthy = [name for name in self.group.solvers if name not in self.diverged]
        progress = Progress(self.clock.elapsed(), self.clock.begin)
        save_states(self.folder, self.group, healthy, progress)
        common = {"elapsed": progress.elapsed, "lr": lr, "matrix_rate": self.matrix_rate, "cpu_waited": waited}
        rows = [common | self._row(name, rounds, seconds, times) for name in self.group.solvers]
        for row in rows:
            self.metrics.append(row)
        done = f"{progress.elapsed / 60:.1f} of {self.settings.total_minutes:g} minutes, learning rate {lr:.2g}"
        if self.group.device.type == "cuda":
            done += f", the CPU waited {waited:.0%} of the time"
        logger.info("%s\n%s", done, table(rows, self.matrix_rate))

    def _find_diverged(self) -> None:
        for name, solver in self.group.solvers.items():
            if name in self.diverged:
                continue
            try:
                solver.check_loss(self.group.losses[name])
                solver.check_weights()
            except RuntimeError as error:
                logger.warning("%s: %s; its file is not replaced", name, error)
                self.diverged.append(name)

    def _row(self, name: str, rounds: int, seconds: float, times: dict[tuple, float]) -> dict:
        """Return a network's row of metrics.jsonl, for `rounds` steps that took `seconds`, their parts `times`."""
        solver, networks = self.group.solvers[name], len(self.group.solvers)
        # The optimizer's time is that of all networks together.
        parts = {part: times.get((part, name), times.get((part,), 0) / networks) / rounds for part in PARTS}
        operations = step_operations(solver.network, solver.config)
        scores = solver.validate(solver.validation_sr())
        return {
            "step": solver.step,
            "network": name,
            "loss": self.group.losses[name].item(),
            "patches_per_s": rounds * self.settings.batch_size / seconds,
            **{f"{part} [ms]": 1000 * part_seconds for part, part_seconds in parts.items()},
            "operations_per_s_computing": operations / (parts[FORWARD_BACKWARD] + parts[OPTIMIZER]),
            "operations_per_s": operations * rounds / seconds,
            **scores,
            "psnr_y_gain": scores["psnr_y"] - self.first_psnr[name],
        }
