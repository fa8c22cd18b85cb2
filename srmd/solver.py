"""`Solver` trains a network step by step; `training_run.py` adds a run folder, a dashboard and checkpoints."""

import copy
import io
import logging
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from srmd import __version__
from srmd.backends.choice import winograd_is_faster
from srmd.backends.device import autocast, choose_device, choose_training_precision, exact_convolutions
from srmd.base.arithmetic import ceil_div
from srmd.base.distributed import Processes
from srmd.base.errors import prefix_errors
from srmd.config import TrainConfig
from srmd.degradation import upsample
from srmd.packs.reader import PackedPictures
from srmd.pictures.metrics import luma, psnr
from srmd.show.pictures import sample_grid
from srmd.train.batches import Batch, Batches
from srmd.train.colours import COLOUR_SHARES, UNCHANGED_COLOURS, ColourShares
from srmd.train.cuda_step import capture_step
from srmd.train.dormant import dormant_features, reset_dormant_features
from srmd.train.forward_backward import ForwardBackward
from srmd.train.memory import cache_pictures
from srmd.train.setup import TrainingSetup, new_setup
from srmd.train.soap import Soap
from srmd.weights.checkpoint import Checkpoint
from srmd.weights.files import Weights
from srmd.weights.surgery import round_to_bfloat16
from srmd.winograd import compiled
from srmd.winograd.convolution import InferenceConv

logger = logging.getLogger("srmd")

MAX_WARM_UP_STEPS = 100  # steps in which the learning rate rises; a tenth of the run if that is less
# Steps between resets of dormant features; the second half of a run has none, because new weights need time to learn.
RESET_EVERY = 1000
# Minimum number of patches on all of which a feature is dormant before it is reset; some features are active for few
# kernels only.
RESET_PATCHES = 128
EMA_DECAY = 0.999  # maximum decay per step, reached after the first 9,000 steps
SHOWN_SAMPLES = 4  # samples of the validation batch shown on the dashboard and in samples/


class Solver:
    """A network in training, with its optimizer, moving average (EMA), training batches and one validation batch.

    A batch depends only on the seed and on the number of its step. So a run that is resumed from `state_dict` on the
    same machine gives exactly the weights of an uninterrupted run.

    If there are several processes, each trains on its part of each batch. They average the gradients of their parts, so
    that their weights are equal after each step.
    """

    def __init__(
        self,
        config: TrainConfig,
        training: PackedPictures,
        validation: PackedPictures,
        setup: TrainingSetup | None = None,
        processes: Processes | None = None,
    ):
        """Prepare step 1. `setup` holds the network, P and kernels; by default they are made as `config` says.

        The validation batch is drawn from `training` if all pictures of `validation` are too small. Raises InputError
        if all pictures of `training` are too small.
        """
        self.config, self.step = config, 0
        self.processes = processes or Processes()
        self.part = self.processes.part(config.batch_size)  # the samples of each batch that this process trains on
        self.device = choose_device(config.device)
        self.precision = choose_training_precision(config.precision, self.device)
        self.pictures_identity = training.identity
        self.network, self.pca, self.kernels = setup or new_setup(config)
        self.network.to(self.device, memory_format=torch.channels_last)
        with prefix_errors("train_data"):
            self.batches = self._batches(cache_pictures(training, config.cache, self.device), COLOUR_SHARES)
        large_enough = validation.count_large_enough(self.batches.crop_size) > 0
        self.validation_batch = self._batches(validation if large_enough else training, UNCHANGED_COLOURS).draw(0)
        patches = self.part.stop - self.part.start, config.patch_size, config.patch_size  # (N, h, w)
        winograd = self._can_use_winograd() and winograd_is_faster(self.network, patches)
        self._plain_step = ForwardBackward(self.network, config.loss, self.device, self.precision, winograd)
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = Soap(self.network.parameters(), config.lr)
        self.forward_backward: Callable[[Batch], Tensor] = self._plain_step
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device.index or 0)
            example = Batch(*(tensor[self.part] for tensor in self.validation_batch))
            self.forward_backward = capture_step(self._plain_step, example)

    def _batches(self, pictures: PackedPictures, colours: ColourShares) -> Batches:
        return Batches(pictures, self.config, self.pca, self.device, self.kernels, colours)

    @property
    def winograd(self) -> bool:
        """Whether the convolutions are computed by Winograd's algorithm, in training and in validation."""
        return self._plain_step.winograd

    @winograd.setter
    def winograd(self, winograd: bool) -> None:
        self._plain_step.winograd = winograd

    def _can_use_winograd(self) -> bool:
        return self.device.type == "cpu" and self.precision == "fp32" and compiled.load() is not None

    def state_dict(self) -> dict:
        """Return the fields of `Checkpoint`: everything that `load_state_dict` needs to continue the run."""
        checkpoint = Checkpoint(
            version=__version__,
            step=self.step,
            precision=self.precision,
            downsampler=self.config.downsampler,
            winograd=self.winograd,
            network_config=asdict(self.network.config),
            network=self.network.state_dict(),
            ema=self.ema.state_dict(),
            optimizer=self.optimizer.state_dict(),
            pca=self.pca,
            pictures=self.pictures_identity,
            own_kernels=None if self.kernels.own_kernels is None else torch.from_numpy(self.kernels.own_kernels),
            processes=self.processes.count,
        )
        return vars(checkpoint)

    def load_state_dict(self, state: dict) -> None:
        """Continue from a `state_dict` of a run with the same configuration; raises ValueError if its P differs."""
        checkpoint = Checkpoint(**state)
        if not torch.equal(checkpoint.pca, self.pca):
            raise ValueError("state: expected the state of a run with the same P, found another P")
        self.step = checkpoint.step
        if checkpoint.precision == self.precision:  # with another one, what was measured for it stays
            # A run may be resumed on a GPU or without GCC.
            self.winograd = checkpoint.winograd and self._can_use_winograd()
        self.network.load_state_dict(checkpoint.network)
        self.ema.load_state_dict(checkpoint.ema)
        self.optimizer.load_state_dict(checkpoint.optimizer)

    def weights(self) -> Weights:
        """Return the EMA network on the CPU, with P and metadata, as it is saved for use."""
        network = copy.deepcopy(self.ema).cpu()
        if self.precision == "bf16":
            round_to_bfloat16(network)
        metadata = {"version": __version__, "command": self.config.command, "steps": self.step}
        return Weights(network, self.pca, metadata | {"downsampler": self.config.downsampler})

    # Training.

    def training_step(self) -> Tensor:
        """Train on the batch of the next step. Return its loss, a tensor on the device."""
        with self.processes.common_errors():
            if self.step % RESET_EVERY == 0 and self.step <= self.config.steps // 2:
                self.reset_dormant()
            # Drawn before anything changes, because it raises InputError if a pack is damaged.
            batch = self.batches.draw(self.step + 1, self.part)
        self.step += 1
        loss = self.forward_backward(batch)
        if self.processes.are_several:
            self._average(loss)
        self.optimizer_step()
        return loss

    def _average(self, loss: Tensor) -> None:
        """Replace the loss and the gradients of this process's part by those of the whole batch."""
        gradients = [parameter.grad for parameter in self.network.parameters()]
        share = (self.part.stop - self.part.start) / self.config.batch_size
        self.processes.sum_weighted([*gradients, loss], share)

    def optimizer_step(self) -> None:
        """Update the network from its gradients, and the EMA from the network."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.update_ema()

    def learning_rate(self) -> float:
        """Return the learning rate of the current step: a linear warm-up, then half a cosine down to zero."""
        steps_done = self.step - 1
        warm_up = min(MAX_WARM_UP_STEPS, self.config.steps // 10)
        if steps_done < warm_up:
            return self.config.lr * (steps_done + 1) / warm_up
        angle = math.pi * (steps_done - warm_up) / (self.config.steps - warm_up)
        return self.config.lr * (1 + math.cos(angle)) / 2

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the EMA a step towards the network."""
        # A constant decay would keep the untrained weights in the average for a long time.
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.network.parameters()), 1 - decay)
        for averaged, current in zip(self.ema.buffers(), self.network.buffers(), strict=True):
            averaged.copy_(current)

    def reset_dormant(self) -> None:
        """Give new weights to features that are dormant on all of the next patches, at least RESET_PATCHES."""
        if not self.config.batch_norm:  # batch norm keeps all features active
            with exact_convolutions(self.device):
                self._find_and_reset_dormant()

    def _find_and_reset_dormant(self) -> None:
        dormant = None  # for each layer, which features are dormant on all batches so far
        for number in range(self.step + 1, self.step + 1 + ceil_div(RESET_PATCHES, self.config.batch_size)):
            batch = self.batches.draw(number)
            in_batch = dormant_features(self.network, batch.lr, batch.degradation_map)
            dormant = in_batch if dormant is None else [a & b for a, b in zip(dormant, in_batch, strict=True)]
        if total := int(sum(layer.sum() for layer in dormant)):
            generator = torch.Generator().manual_seed(self.config.seed + self.step)
            reset_dormant_features(self.network, self.ema, dormant, batch.lr, batch.degradation_map, generator)
            logger.info("dormant features reset at step %d: %d, which were 0 on every patch tried", self.step, total)

    def check_loss(self, loss: Tensor) -> float:
        """Return the loss as a number. Raises RuntimeError if the training has diverged."""
        value = loss.item()
        overflows = self.precision == "fp16" and not self.network.convs[0].weight.grad.any()
        if overflows or not math.isfinite(value):
            problem = f"the loss is {value}"
            if overflows:
                problem += ", its gradient overflows float16"
            raise RuntimeError(f"{problem} at step {self.step}: start a new run with a lower `lr`")
        return value

    def check_weights(self) -> None:
        """Raise RuntimeError if a weight of the network or of the EMA is not finite: the training has diverged."""
        tensors = [*self.network.state_dict().values(), *self.ema.state_dict().values()]
        if not all(torch.isfinite(tensor).all() for tensor in tensors):
            problem = f"the network has weights that are NaN or infinite at step {self.step}"
            raise RuntimeError(f"{problem}: start a new run with a lower `lr`")

    def take_winograd_of_first(self) -> None:
        """Use Winograd's algorithm, whose rounding errors differ from PyTorch's, only if the first process does."""
        self.winograd = self.processes.from_first(self.winograd) and self._can_use_winograd()

    @torch.no_grad()
    def synchronise(self) -> None:
        """Give all processes the first one's state if their weights differ.

        Weights differ if processors of different kinds round differently. Afterwards a checkpoint holds the state of
        all processes, so that a run resumed from it equals one that was not interrupted.
        """
        if not self.processes.are_several:
            return
        checksums = [float(tensor.double().sum()) for tensor in (*self.network.parameters(), *self.ema.parameters())]
        if all(other == checksums for other in self.processes.gather(checksums)):
            return
        logger.warning("the processes' weights differ at step %d: those of the first one are kept", self.step)
        state = io.BytesIO()
        torch.save(self.state_dict(), state)
        content = self.processes.from_first(state.getvalue())
        self.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))

    # Validation, always on the same batch.

    @torch.no_grad()
    def validation_sr(self) -> Tensor:
        """Return the EMA network's SR of the validation batch, (N, 3, s·h, s·w), not clipped."""
        with autocast(self.device, self.precision), exact_convolutions(self.device):
            lr, degradation_map = self.validation_batch.lr, self.validation_batch.degradation_map
            return self.ema(lr, degradation_map, InferenceConv() if self.winograd else None)

    def validate(self, sr: Tensor) -> dict[str, float]:
        """Return the mean PSNR of Y in dB of the validation batch's SR, and of bicubic upscaling."""
        hr, bicubic = self.validation_batch.hr, upsample(self.validation_batch.lr, self.config.scale_factor)
        return {"psnr_y": _mean_psnr_y(sr, hr), "bicubic_psnr_y": _mean_psnr_y(bicubic, hr)}

    def samples(self, sr: Tensor) -> np.ndarray:
        """Return a picture (H, W, 3) uint8 with a row LR | bicubic | SR | HR for each of the batch's first samples."""
        lr, hr = self.validation_batch.lr, self.validation_batch.hr
        return sample_grid(lr[:SHOWN_SAMPLES], sr[:SHOWN_SAMPLES], hr[:SHOWN_SAMPLES], self.config.scale_factor)


def _mean_psnr_y(sr: Tensor, hr: Tensor) -> float:
    def luma_of_each(pictures: Tensor) -> list[np.ndarray]:
        return [luma(picture.permute(1, 2, 0).numpy()) for picture in pictures.cpu().double()]

    pairs = zip(luma_of_each(sr.clamp(0, 1)), luma_of_each(hr), strict=True)
    return float(np.mean([psnr(sr_luma, hr_luma) for sr_luma, hr_luma in pairs]))
