"""`Solver`: a network in training, step by step; `training_run.py` trains one in a folder with a dashboard."""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from srmd import __version__
from srmd.backends.choice import winograd_is_faster
from srmd.backends.device import autocast, choose_device, choose_precision, exact_convolutions
from srmd.base.errors import about
from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures
from srmd.degradation import upsample
from srmd.pictures.metrics import luma, psnr
from srmd.show.pictures import sample_grid
from srmd.train.batches import Batch, Batches
from srmd.train.cuda_step import captured
from srmd.train.dormant import dormant_features, reset_dormant_features
from srmd.train.forward_backward import ForwardBackward
from srmd.train.memory import placed
from srmd.train.soap import Soap
from srmd.train.start import Start, new_start
from srmd.weights.checkpoint import Checkpoint
from srmd.weights.files import Weights
from srmd.weights.surgery import round_as_autocast
from srmd.winograd.convolution import conv_relu_

logger = logging.getLogger("srmd")

WARM_UP = 100  # steps
RESET_EVERY = 1000  # steps, in the first half, which leaves the features time to learn
RESET_PATCHES = 128  # at least, that a feature must be dormant on: some are active under few kernels only
EMA_DECAY = 0.999
SAMPLES = 4  # of the validation batch that are shown


class Solver:
    """A network in training: optimizer, moving average (EMA), batches and the batch that it is validated on.

    Every batch is a function of the seed and of the step's number, which makes resuming exact.
    """

    def __init__(
        self, config: TrainConfig, training: PackedPictures, validation: PackedPictures, start: Start | None = None
    ):
        """At step 0, with the network, P and kernels of `start`, by default those that the configuration names."""
        self.config, self.step = config, 0
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.network, self.pca, self.kernels = start or new_start(config)
        self.network.to(self.device, memory_format=torch.channels_last)
        with about("train_data"):
            self.batches = self._batches(placed(training, config.cache, self.device))
        self.validation_batch = self._batches(validation if validation.usable(self.batches.crop) else training).draw(0)
        winograd = self._can_use_winograd() and winograd_is_faster(self.network, self._size())
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = Soap(self.network.parameters(), config.lr)
        self._plain_step = ForwardBackward(self.network, config.loss, self.device, self.precision, winograd)
        self.forward_backward: Callable[[Batch], Tensor] = self._plain_step
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device.index or 0)
            self.forward_backward = captured(self._plain_step, self.validation_batch)

    def _batches(self, pictures: PackedPictures) -> Batches:
        return Batches(pictures, self.config, self.pca, self.device, self.kernels)

    def _size(self) -> tuple[int, int, int]:
        return self.config.batch_size, self.config.patch_size, self.config.patch_size

    @property
    def winograd(self) -> bool:
        """Whether the inner layers are computed by Winograd's algorithm."""
        return self._plain_step.winograd

    def _can_use_winograd(self) -> bool:
        return self.device.type == "cpu" and self.precision == "fp32"

    def state_dict(self) -> dict:
        """All that is needed to go on, with the fields of `Checkpoint`."""
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
            own_kernels=None if self.kernels.own is None else torch.from_numpy(self.kernels.own),
        )
        return vars(checkpoint)

    def load_state_dict(self, state: dict) -> None:
        """Goes on where `state_dict` was called, in a run of the same configuration and start."""
        checkpoint = Checkpoint(**state)
        if not torch.equal(checkpoint.pca, self.pca):
            raise ValueError("state: expected that of a run with the same P, found another")
        self.step = checkpoint.step
        self._plain_step.winograd = (
            checkpoint.winograd and self._can_use_winograd()
        )  # which may be another device by now
        self.network.load_state_dict(checkpoint.network)
        self.ema.load_state_dict(checkpoint.ema)
        self.optimizer.load_state_dict(checkpoint.optimizer)

    def weights(self) -> Weights:
        """The EMA network ready to use, on the CPU."""
        network = copy.deepcopy(self.ema).cpu()
        if self.precision == "bf16":
            round_as_autocast(network)
        metadata = {"version": __version__, "command": self.config.command, "steps": self.step}
        return Weights(network, self.pca, metadata | {"downsampler": self.config.downsampler})

    # A step.

    def training_step(self) -> Tensor:
        """Goes to the next step and learns from its batch; the loss, still on the device."""
        if self.step % RESET_EVERY == 0 and self.step <= self.config.steps // 2:
            self.reset_dormant()
        self.step += 1
        loss = self.forward_backward(self.batches.draw(self.step))
        self.optimizer_step()
        return loss

    def optimizer_step(self) -> None:
        """Updates the network from its gradients, and the EMA from the network."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self._update_ema()

    def learning_rate(self) -> float:
        """That of the present step: warm-up, then a cosine to zero."""
        done, warm_up = self.step - 1, min(WARM_UP, self.config.steps // 10)
        if done < warm_up:
            return self.config.lr * (done + 1) / warm_up
        return self.config.lr * (1 + math.cos(math.pi * (done - warm_up) / (self.config.steps - warm_up))) / 2

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))  # a constant one would keep the untrained weights
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.network.parameters()), 1 - decay)
        for averaged, current in zip(self.ema.buffers(), self.network.buffers(), strict=True):
            averaged.copy_(current)

    def reset_dormant(self) -> None:
        """Gives new weights to features that are dormant on the batches of the next steps."""
        if not self.config.batch_norm:  # which keeps them active
            with exact_convolutions(self.device):
                self._find_and_reset_dormant()

    def _find_and_reset_dormant(self) -> None:
        dormant = None
        count = math.ceil(RESET_PATCHES / self.config.batch_size)
        for number in range(self.step + 1, self.step + 1 + count):
            batch = self.batches.draw(number)
            here = dormant_features(self.network, batch.lr, batch.degradation_map)
            dormant = here if dormant is None else [a & b for a, b in zip(dormant, here, strict=True)]
        if total := int(sum(layer.sum() for layer in dormant)):
            generator = torch.Generator().manual_seed(self.config.seed + self.step)
            reset_dormant_features(self.network, self.ema, dormant, batch.lr, batch.degradation_map, generator)
            logger.info("%d dormant features were reset at step %d: they were 0 on every patch tried", total, self.step)

    def finite(self, loss: Tensor) -> float:
        """The loss as a number; RuntimeError where the training has diverged."""
        value = loss.item()
        overflows = self.precision == "fp16" and not self.network.convs[0].weight.grad.any()
        if overflows or not math.isfinite(value):
            what = f"the loss is {value}{', its gradient overflows float16' if overflows else ''}"
            raise RuntimeError(f"{what} at step {self.step}: start a new run with a lower `lr`")
        return value

    # Validation, over one fixed batch of held-out pictures.

    @torch.no_grad()
    def validation_sr(self) -> Tensor:
        """SR of the validation batch by the EMA network."""
        with autocast(self.device, self.precision), exact_convolutions(self.device):
            lr, degradation_map = self.validation_batch.lr, self.validation_batch.degradation_map
            return self.ema(lr, degradation_map, conv_relu_ if self.winograd else None)

    def validate(self, sr: Tensor) -> dict[str, float]:
        """PSNR of Y of the validation batch's SR, and of bicubic upscaling."""
        bicubic = upsample(self.validation_batch.lr, self.config.scale_factor)
        scored = {"psnr_y": sr, "bicubic_psnr_y": bicubic}
        return {name: _mean_psnr_y(pictures, self.validation_batch.hr) for name, pictures in scored.items()}

    def samples(self, sr: Tensor) -> np.ndarray:
        """LR | bicubic | SR | HR of some of the validation batch, (H, W, 3) uint8."""
        lr, hr = self.validation_batch.lr, self.validation_batch.hr
        return sample_grid(lr[:SAMPLES], sr[:SAMPLES], hr[:SAMPLES], self.config.scale_factor)


def _mean_psnr_y(sr: Tensor, hr: Tensor) -> float:
    pairs = zip(sr.clamp(0, 1).cpu().double(), hr.cpu().double(), strict=True)
    return float(np.mean([psnr(luma(a.permute(1, 2, 0).numpy()), luma(b.permute(1, 2, 0).numpy())) for a, b in pairs]))
