"""A training run: a `Solver` with a run folder, a dashboard and checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from srmd import __version__
from srmd.base.errors import InputError, Stopped, prefix_errors
from srmd.base.files import make_folder
from srmd.base.signals import stop_requests
from srmd.config import TrainConfig
from srmd.packs.training_data import open_training_data
from srmd.pictures.files import write_picture
from srmd.show.dashboard import Dashboard, open_dashboard
from srmd.show.pictures import kernel_picture
from srmd.show.plots import draw_loss
from srmd.solver import SHOWN_SAMPLES, Solver
from srmd.train.run_folder import RunFolder
from srmd.train.setup import new_setup, resumed_setup
from srmd.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from srmd.weights.files import write_weights

logger = logging.getLogger("srmd")

LOG_EVERY = 10  # steps
VALIDATE_EVERY = 100  # steps
MAX_FOUND = 200  # characters of an error that a message repeats

# Called after each step with its number and the newest row of metrics.jsonl, or None before the first row is logged.
TrainingProgress = Callable[[int, dict | None], object]


def train(
    config: TrainConfig,
    progress: TrainingProgress = lambda step, row: None,
    packing: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Train a network as a configuration says, or resume its run; on a signal, save and raise `Stopped`.

    `progress` is called after each step. If a folder of pictures is packed first, `packing` is called after each of
    them with the number of pictures done and the total number.
    """
    folder = RunFolder(config.output)
    with folder.locked():
        checkpoint = _newest_checkpoint(folder) if config.resume is not None else None
        if checkpoint and checkpoint.step >= config.steps:
            logger.info("The run in %s is finished: %d steps", folder.path, checkpoint.step)
            return
        if checkpoint and checkpoint.version != __version__:  # its fields may have other meanings
            versions = f"{folder.path} was started by version {checkpoint.version}, this is {__version__}"
            weights = folder.path / "last.safetensors"
            raise InputError(f"{versions}; `weights={weights}` starts a new run from its network", "resume")
        # Packing the pictures may take minutes: errors in `weights` or `train_kernels` are found before that.
        if checkpoint:
            with _errors_of_checkpoint(folder, checkpoint):
                setup = resumed_setup(config, checkpoint)
        else:
            setup = new_setup(config)
        with prefix_errors("train_data"):
            pictures = open_training_data(config.train_data, progress=packing, options=config.pack_options)
            if checkpoint and checkpoint.pictures not in (None, pictures.identity):
                problem = f"expected the pictures that the run in {folder.path} was started with, found others"
                raise InputError(f"{pictures.name}: {problem}")
            training, validation = pictures.split()
        solver = Solver(config, training, validation, setup)
        if checkpoint:
            with _errors_of_checkpoint(folder, checkpoint):
                solver.load_state_dict(vars(checkpoint))
        folder.begin(config, solver.step)
        details = f"on {solver.device} in {solver.precision}, {config.steps} steps"
        logger.info("Training in %s %s, pictures %s", folder.path, details, solver.batches.pictures.location)
        env = f"srmd_{folder.path.name}"
        with open_dashboard(config.visdom, env, start_server=True, log=logger.info) as dashboard:
            TrainingRun(solver, folder, dashboard, progress).run()
    logger.info("%s contains the network (last.safetensors) and the loss curve (loss.png)", folder.path)


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
        self.dashboard, self.progress = dashboard, progress

    def run(self) -> None:
        """Train to the last step and save. On a signal, save after the current step and raise `Stopped`.

        If the pictures can't be read or metrics.jsonl can't be written any more, save after the last step and raise
        RuntimeError.
        """
        solver, config = self.solver, self.config
        for row in self.folder.rows():  # a resumed run has rows up to its checkpoint
            self._show(row)
        kernels = solver.validation_batch.kernels[:SHOWN_SAMPLES].cpu().numpy()
        self.dashboard.image("kernels", kernel_picture(kernels), "kernels of the samples")
        clock_start, timed_step = time.perf_counter(), solver.step  # start of the current throughput measurement
        saved_step, row, damage = solver.step, None, None
        with stop_requests() as stop:
            while solver.step < config.steps and not stop:
                try:
                    loss = solver.training_step()
                except InputError as error:
                    damage = error
                    break
                if self._is_due(LOG_EVERY):
                    value = solver.check_loss(loss)  # waits for the device, so that the clock measures its work
                    images = (solver.step - timed_step) * config.batch_size
                    try:
                        row = self._log(value, images / (time.perf_counter() - clock_start))
                    except OSError as error:  # such as a full disk, on which the checkpoint may still find room
                        damage = f"{error.filename}: {error.strerror}"
                        break
                    clock_start, timed_step = time.perf_counter(), solver.step
                self.progress(solver.step, row)
                if solver.step % config.save_every == 0:
                    self._save(loss)
                    clock_start, timed_step, saved_step = time.perf_counter(), solver.step, solver.step
            if saved_step != solver.step:
                self._save(loss)
        if damage:
            saved = f"; the run is saved at step {solver.step}" if solver.step else ""
            raise RuntimeError(f"{damage}{saved}")
        if stop and solver.step < config.steps:
            logger.info("Stopped and saved at step %d; `resume=%s` continues", solver.step, self.folder.path)
            raise Stopped(stop[0])

    def _is_due(self, every: int) -> bool:
        step = self.solver.step
        return step == 1 or step % every == 0 or step == self.config.steps

    def _log(self, loss: float, images_per_s: float) -> dict:
        solver = self.solver
        row = {"step": solver.step, "loss": loss, "lr": solver.learning_rate(), "images_per_s": images_per_s}
        if self._is_due(VALIDATE_EVERY):
            sr = solver.validation_sr()
            self.dashboard.image("samples", solver.samples(sr), "LR | bicubic | SR | HR")
            row |= solver.validate(sr)
        self.folder.append(row)
        self._show(row)
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
        """Write the network, the loss curve and the samples; last the checkpoint, so that no file is older than it."""
        solver, folder = self.solver, self.folder
        solver.check_loss(loss)  # a diverged network must not replace a good one
        solver.check_weights()
        write_weights(folder.path / "last.safetensors", solver.weights())
        draw_loss(folder.rows(), folder.path / "loss.png")
        make_folder(folder.path / "samples")
        samples = solver.samples(solver.validation_sr()) / 255
        write_picture(folder.path / "samples" / f"step-{solver.step:07}.png", samples)
        save_checkpoint(folder.checkpoint(solver.step), solver.state_dict())
        folder.drop_old_checkpoints()
