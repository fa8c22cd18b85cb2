"""A training run: a `Solver` with a run folder, a dashboard and checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from srmd import __version__
from srmd.backends.device import choose_device, choose_training_precision
from srmd.base.distributed import Processes
from srmd.base.errors import InputError, Stopped, prefix_errors
from srmd.base.files import make_folder
from srmd.base.malloc import trim_heap
from srmd.base.signals import stop_requests
from srmd.config import TrainConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import PackingProgress
from srmd.packs.training_data import open_training_data
from srmd.pictures.files import write_picture
from srmd.show.dashboard import Dashboard, open_dashboard
from srmd.show.pictures import kernel_picture
from srmd.show.plots import draw_loss
from srmd.solver import SHOWN_SAMPLES, Solver
from srmd.train.run_folder import RunFolder, check_shared_training
from srmd.train.setup import TrainingSetup, new_setup, resumed_setup
from srmd.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from srmd.weights.files import NETWORK_OF_RUN, write_weights

logger = logging.getLogger("srmd")

LOG_EVERY = 10  # steps
VALIDATE_EVERY = 100  # steps
MAX_FOUND = 200  # characters of an error that a message repeats

# Called after each step with its number and the newest row of metrics.jsonl, or None before the first row is logged.
TrainingProgress = Callable[[int, dict | None], object]


def train(
    config: TrainConfig,
    progress: TrainingProgress = lambda step, row: None,
    packing: PackingProgress = lambda done, total: None,
    processes: Processes | None = None,
) -> None:
    """Train a network as a configuration says, or resume its run; on a signal, save and raise `Stopped`.

    `progress` is called after each step. If a folder of pictures is packed first, `packing` is called after each of
    them with the number of pictures done and the total number. `processes` are by default those that torchrun has
    started: they share the samples of each batch, and the first one, whose `config` holds, writes the run's folder.
    """
    processes = processes or Processes.of_environment()
    with processes.joined(), ExitStack() as stack:
        config = processes.from_first(config)
        if config.threads is not None:  # also of a resumed run, whose threads only the first process has read
            torch.set_num_threads(config.threads)
        folder, checkpoint, setup = RunFolder(config.output), None, None
        with processes.common_errors():
            check_shared_training(config, processes)
            if processes.is_first:
                stack.enter_context(folder.locked())
                checkpoint, setup = _checkpoint_and_setup(config, folder, processes)
        checkpoint, setup = processes.from_first((checkpoint, setup))
        if setup is None:
            logger.info("The run in %s is finished: %d steps", folder.path, checkpoint.step)
            return
        own_config = _own_config(config, processes)  # its errors come before pictures are packed, which takes minutes
        pictures = _open_pictures(config, folder, checkpoint, packing, processes)
        solver = _solver(own_config, pictures, setup, processes)
        with processes.common_errors():
            if checkpoint:
                _load(solver, folder, checkpoint)
            if processes.is_first:
                folder.begin(config, solver.step)
        _log_beginning(solver, folder)
        env, visdom = f"srmd_{folder.path.name}", config.visdom if processes.is_first else "off"
        dashboard = stack.enter_context(open_dashboard(visdom, env, start_server=True, log=logger.info))
        TrainingRun(solver, folder, dashboard, progress).run()
    logger.info("%s contains the network (%s) and the loss curve (loss.png)", folder.path, NETWORK_OF_RUN)


def _checkpoint_and_setup(
    config: TrainConfig, folder: RunFolder, processes: Processes
) -> tuple[Checkpoint | None, TrainingSetup | None]:
    """Return the checkpoint that is resumed, if any, and the setup of the run, or None if the run is finished.

    Errors in `weights` and `train_kernels` are found here, before pictures are packed.
    """
    checkpoint = _newest_checkpoint(folder) if config.resume is not None else None
    if checkpoint is None:
        return None, new_setup(config)
    if checkpoint.step >= config.steps:
        return checkpoint, None
    _check_checkpoint(folder, checkpoint, processes)
    with _errors_of_checkpoint(folder, checkpoint):
        return checkpoint, resumed_setup(config, checkpoint)


def _check_checkpoint(folder: RunFolder, checkpoint: Checkpoint, processes: Processes) -> None:
    """Raise InputError if a run of another version or of another number of processes would be continued."""
    advice = f"`weights={folder.path / NETWORK_OF_RUN}` starts a new run from its network"
    if checkpoint.version != __version__:  # its fields may have other meanings
        versions = f"{folder.path} was started by version {checkpoint.version}, this is {__version__}"
        raise InputError(f"{versions}; {advice}", "resume")
    count = checkpoint.processes or 1
    if count != processes.count:  # sums of gradients are rounded in another order
        expected = f"expected {_in_words(count)}, by which the run in {folder.path} was started"
        raise InputError(f"{expected}, found {processes.count}; {advice}", "resume")


def _in_words(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes (torchrun)"


def _open_pictures(
    config: TrainConfig,
    folder: RunFolder,
    checkpoint: Checkpoint | None,
    packing: PackingProgress,
    processes: Processes,
) -> PackedPictures:
    """Open the training pictures in all processes; the first one of each machine packs them."""
    pictures = None
    for packs in (True, False):
        with processes.common_errors(), prefix_errors("train_data"):
            if (processes.local_rank == 0) == packs:
                pictures = open_training_data(config.train_data, progress=packing, options=config.pack_options)
    expected = checkpoint.pictures if checkpoint else None
    of_first = processes.from_first(pictures.identity)
    with processes.common_errors(), prefix_errors("train_data"):
        if expected not in (None, pictures.identity):
            problem = f"expected the pictures that the run in {folder.path} was started with, found others"
            raise InputError(f"{pictures.name}: {problem}")
        if pictures.identity != of_first:
            raise InputError(f"{pictures.name}: expected the pictures of the first process, found others")
    return pictures


def _own_config(config: TrainConfig, processes: Processes) -> TrainConfig:
    """Return the configuration of this process: with its own device, and the precision of the first process."""
    with processes.common_errors():
        device = choose_device(processes.device(config.device))
        precision = choose_training_precision(config.precision, device)
    return replace(config, device=str(device), precision=processes.from_first(precision))


def _solver(own_config: TrainConfig, pictures: PackedPictures, setup: TrainingSetup, processes: Processes) -> Solver:
    """Return the solver of this process."""
    with processes.common_errors():
        solver = Solver(own_config, *pictures.split(), setup, processes)
    solver.take_winograd_of_first()
    return solver


def _load(solver: Solver, folder: RunFolder, checkpoint: Checkpoint) -> None:
    with _errors_of_checkpoint(folder, checkpoint):
        solver.load_state_dict(vars(checkpoint))


def _log_beginning(solver: Solver, folder: RunFolder) -> None:
    several = f"by {solver.processes.count} processes, " if solver.processes.are_several else ""
    details = f"on {solver.device} in {solver.precision}, {several}{solver.config.steps} steps"
    logger.info("Training in %s %s, pictures %s", folder.path, details, solver.batches.pictures.location)


@contextmanager
def _errors_of_checkpoint(folder: RunFolder, checkpoint: Checkpoint) -> Iterator[None]:
    """Raises InputError, which names the checkpoint, for an error inside: its values do not fit the run."""
    try:
        yield
    except Exception as error:  # a file with other values can raise any exception
        found = " ".join(str(error).split())[:MAX_FOUND]
        path = folder.checkpoint(checkpoint.step)
        raise InputError(f"{path}: expected a checkpoint of this run, found another: {found}", "resume") from error


def _newest_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """Return the newest checkpoint that can be read, or None if there is no checkpoint.

    Newer checkpoints, which are broken, get the suffix .broken. Raises InputError if all checkpoints are broken.
    """
    paths, broken = folder.checkpoints(), []
    for path in paths:
        try:
            checkpoint = load_checkpoint(path)
        except InputError as error:
            logger.warning("%s; trying the one before", error)
            broken.append(path)
        else:
            for broken_path in broken:
                broken_path.rename(broken_path.with_suffix(".broken"))
            return checkpoint
    if broken:
        raise InputError(f"none of the {len(broken)} checkpoints in {folder.path} can be read", "resume")
    logger.info("No checkpoint to resume in %s: starting at step 1", folder.path)
    return None


class TrainingRun:
    """The loop over the steps, with logging, dashboard and saving."""

    def __init__(self, solver: Solver, folder: RunFolder, dashboard: Dashboard, progress: TrainingProgress):
        self.solver, self.config, self.folder = solver, solver.config, folder
        self.processes, self.is_first = solver.processes, solver.processes.is_first
        self.dashboard, self.progress = dashboard, progress

    def run(self) -> None:
        """Train to the last step and save. On a signal, save after the current step and raise `Stopped`.

        If the pictures can't be read or metrics.jsonl can't be written any more, save the last complete step and raise
        RuntimeError.
        """
        if self.is_first:
            for row in self.folder.rows():  # a resumed run has rows up to its checkpoint
                self._show(row)
        kernels = self.solver.validation_batch.kernels[:SHOWN_SAMPLES].cpu().numpy()
        self.dashboard.image("kernels", kernel_picture(kernels), "kernels of the samples")
        with stop_requests() as stop:
            damage = self._take_steps(stop)
        step = self.solver.step
        if damage is not None:
            saved = f"; the run is saved at step {step}" if step else ""
            raise RuntimeError(f"{damage}{saved}")
        if step < self.config.steps:
            logger.info("Stopped and saved at step %d; `resume=%s` continues", step, self.folder.path)
            number = next(filter(None, self.processes.gather(stop[0] if stop else 0)))  # of a process that got a signal
            raise Stopped(number)

    def _take_steps(self, stop: list[int]) -> str | None:
        """Train to the last step, or until a stop is requested, and save. Return the fault that ended it, if any."""
        solver, row, damage = self.solver, None, None
        saved_step = solver.step
        self._restart_clock()
        while solver.step < self.config.steps and not self.processes.any(bool(stop)):
            try:
                loss = solver.training_step()
            except InputError as error:  # pictures that can't be read any more
                damage = str(error)
                break
            try:
                if self._is_due(LOG_EVERY):
                    row = self._log(loss)
            except OSError as error:  # such as a full disk, on which the checkpoint may still find room
                damage = f"{error.filename}: {error.strerror}"
                break
            self.progress(solver.step, row)
            if solver.step % self.config.save_every == 0:
                self._save(loss)
                saved_step = solver.step
                self._restart_clock()
        if saved_step != solver.step:
            self._save(loss)
        return damage

    def _restart_clock(self) -> None:
        """Begin a measurement of the throughput."""
        self.timed_step, self.clock_start = self.solver.step, time.perf_counter()

    def _images_per_s(self) -> float:
        images = (self.solver.step - self.timed_step) * self.config.batch_size
        return images / (time.perf_counter() - self.clock_start)

    def _is_due(self, every: int) -> bool:
        step = self.solver.step
        return step == 1 or step % every == 0 or step == self.config.steps

    def _log(self, loss: Tensor) -> dict:
        """Append a row to metrics.jsonl, with scores where a validation is due, show it and return it."""
        solver = self.solver
        with self.processes.common_errors():
            value = solver.check_loss(loss)  # waits for the device, so that the clock measures its work
        row = {"step": solver.step, "loss": value, "lr": solver.learning_rate(), "images_per_s": self._images_per_s()}
        with self.processes.common_errors():
            if self.is_first:
                if self._is_due(VALIDATE_EVERY):
                    sr = solver.validation_sr()
                    self.dashboard.image("samples", solver.samples(sr), "LR | bicubic | SR | HR")
                    row |= solver.validate(sr)
                self.folder.append(row)
                self._show(row)
        self._restart_clock()
        return row

    def _show(self, row: dict) -> None:
        dashboard = self.dashboard
        dashboard.curves("loss", row["step"], {"loss": row["loss"]})
        dashboard.curves("learning rate", row["step"], {"learning rate": row["lr"]})
        dashboard.curves("throughput", row["step"], {"images/s": row["images_per_s"]})
        if None not in (row.get("psnr_y"), row.get("bicubic_psnr_y")):
            scores = {"SRMD": row["psnr_y"], "bicubic": row["bicubic_psnr_y"]}
            dashboard.curves("validation PSNR of Y [dB]", row["step"], scores)

    def _save(self, loss: Tensor) -> None:
        """Check the network, and let the first process write it."""
        self.solver.synchronise()
        with self.processes.common_errors():
            self.solver.check_loss(loss)  # a diverged network must not replace a good one
            self.solver.check_weights()
            if self.is_first:
                self._write()

    def _write(self) -> None:
        """Write the network, the loss curve and the samples; last the checkpoint, so that no file is older than it."""
        solver, folder = self.solver, self.folder
        write_weights(folder.path / NETWORK_OF_RUN, solver.weights())
        draw_loss(folder.rows(), folder.path / "loss.png")
        make_folder(folder.path / "samples")
        samples = solver.samples(solver.validation_sr()) / 255
        write_picture(folder.path / "samples" / f"step-{solver.step:07}.png", samples)
        save_checkpoint(folder.checkpoint(solver.step), solver.state_dict())
        folder.drop_old_checkpoints()
        trim_heap()
