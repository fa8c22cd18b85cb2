"""`Solver`: owns network, optimizer, degradation and data; trains, and tests."""

import copy
import html
import math
import sys
import time
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from batches import Batch, Batches
from cache import hold
from config import VERSION, TestConfig, TrainConfig
from dashboard import Dashboard, open_dashboard
from data_loader import PackedPictures, open_training_data
from degradation import upsample
from engine import autocast, choose_device, choose_engine, choose_precision, winograd_pays
from errors import InputError, Stopped, asked_by
from files import make_folder
from images import write_picture
from inputs import Inputs
from metrics import least_side, luma, psnr
from model import round_as_autocast
from overlap import Behind, ahead
from report import (
    announcement,
    degradation_pictures,
    draw_loss,
    kernel_picture,
    sample_grid,
    save_kernels,
    table,
    write_metrics,
)
from revive import revive, silent_features
from run_folder import RunFolder
from signals import stop_requests
from soap import Soap
from start import new_network, resumed_network
from step import Recorded, fast_convolutions, torch_compiled
from training_kernels import training_kernels
from trial import Trial, settled, weights_to_test
from weights import Weights, load_checkpoint, save_checkpoint, write_weights

LOG_EVERY = 10
VALIDATE_EVERY = 100
WARM_UP = 100  # steps
REVIVE_EVERY = 1000  # steps, in the first half, which leaves them time to learn
REVIVE_PATCHES = 128  # at least, that a feature must be silent on: some are active under few kernels only
EMA_DECAY = 0.999
FLOAT16_GAIN = 2.0**13  # float16 holds 6e-8 to 65504; gradients of L1 are some 1e-7 at pixels, up to 0.3 at weights
SAMPLES = 4  # of the validation batch that are shown


class Solver:
    """A network with its P, on a device, trained or tested as a configuration says.

    For training, `load` sets network, pca and kernels, `begin` what else a step needs: step, ema, optimizer, batches,
    validation_batch, and loss and learn, which are `_loss` and `backward`, on a GPU compiled and recorded.
    """

    def __init__(self, config: TrainConfig | TestConfig):
        self.config = config
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)  # of training; testing tries what is fastest

    # Training. Every batch is a function of the seed and the step's number, which makes resuming exact.

    def train(self) -> None:
        """Trains to the last step; a signal ends it early, after saving."""
        config, self.folder = self.config, RunFolder(self.config.output)
        with self.folder.locked():
            state = self._newest_checkpoint() if config.resume is not None else None
            if state and state["step"] >= config.steps:
                print(f"The run in {self.folder.path} is finished: {state['step']} steps")
                return
            if state and state["version"] != VERSION:  # what it holds may be something else
                found = f"{self.folder.path} was begun by version {state['version']}, this is {VERSION}"
                raise InputError(f"--resume: {found}; --weights={self.folder.path / 'last.safetensors'} starts from it")
            self.load(state)
            with asked_by("--train_data"):
                self.begin(*open_training_data(config.train_data).split(), state)
            self.folder.begin(config, self.step)
            where = f"on {self.device} in {self.precision}, {config.steps} steps"
            print(f"Training in {self.folder.path} {where}, pictures {self.batches.pictures.place}")
            env = f"srmd_{self.folder.path.name}"
            with open_dashboard(config.visdom, env, start_server=True, say=tqdm.write) as dashboard:
                self._train(dashboard)
        print(f"{self.folder.path} holds the network, last.safetensors, and the loss curve, loss.png")

    def load(self, state: dict | None = None) -> None:
        """The network to train, its P and its kernels: new, started from other weights, or out of a checkpoint."""
        own = None if state is None else state["own_kernels"]
        self.kernels = training_kernels(self.config, None if own is None else own.numpy())
        self.network, self.pca = new_network(self.config, self.kernels) if state is None else resumed_network(state)

    def begin(self, training: PackedPictures, validation: PackedPictures, state: dict | None = None) -> None:
        """Sets up everything that a training step needs: at step 0, or as a checkpoint left it."""
        config, self.step = self.config, 0
        self.network.to(self.device, memory_format=torch.channels_last)
        self.batches = Batches(hold(training, config.cache, self.device), config, self.pca, self.device, self.kernels)
        size = (config.batch_size, config.patch_size, config.patch_size)
        can = self.device.type == "cpu" and self.precision == "fp32"  # a run may be resumed on another device
        self.network.winograd = can and (winograd_pays(self.network, size) if state is None else state["winograd"])
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = Soap(self.network.parameters(), config.lr)
        if state is not None:
            self.step = state["step"]
            self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
        if not validation.usable(self.batches.crop):
            validation = training
        self.validation_batch = Batches(validation, config, self.pca, self.device, self.kernels).draw(0)
        self.loss, self.learn = self._loss, self.backward
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device.index or 0)
            self._record()

    def _record(self) -> None:
        """Lets a GPU do forward and backward its fastest way; leaves the network as it was."""
        before = [buffer.clone() for buffer in self.network.buffers()]
        self.network.train()
        with fast_convolutions(self.precision):
            place = Batch(*(tensor.clone() for tensor in self.validation_batch))
            self.loss = torch_compiled(self._loss, place.lr, place.degradation_map, place.hr)
            self.learn = Recorded(self.backward, place)
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def _train(self, dashboard: Dashboard) -> None:
        config = self.config
        for row in self.folder.rows():  # of a run that is resumed
            self._show(row, dashboard)
        kernels = self.validation_batch.kernels[:SAMPLES].cpu().numpy()
        dashboard.image("kernels", kernel_picture(kernels), "kernels of the samples")
        bar = tqdm(total=config.steps, initial=self.step, unit="step", mininterval=0.5 if sys.stderr.isatty() else 10)
        clock, counted, saved = time.perf_counter(), self.step, self.step
        with stop_requests() as stop, bar:
            while self.step < config.steps and not stop:
                if self.step % REVIVE_EVERY == 0 and self.step <= config.steps // 2:
                    self._revive()
                self.step += 1
                loss = self.training_step()
                bar.update()
                if self._is_due(LOG_EVERY):
                    value = self._finite(loss)  # waits for the device: only then has the time passed that steps take
                    images_per_s = (self.step - counted) * config.batch_size / (time.perf_counter() - clock)
                    self._log(value, images_per_s, bar, dashboard)
                    clock, counted = time.perf_counter(), self.step
                if self.step % config.save_every == 0:
                    self._save(loss)
                    clock, counted, saved = time.perf_counter(), self.step, self.step
            if saved != self.step:
                self._save(loss)
        if stop and self.step < config.steps:
            print(f"Stopped and saved at step {self.step}; --resume={self.folder.path} goes on")
            raise Stopped(stop[0])

    def _finite(self, loss: Tensor) -> float:
        value = loss.item()
        overflows = self.precision == "fp16" and not self.network.convs[0].weight.grad.any()
        if overflows or not math.isfinite(value):
            what = f"the loss is {value}{', its gradient overflows float16' * overflows}"
            raise RuntimeError(f"{what} at step {self.step}: start a new run with a lower --lr")
        return value

    def _is_due(self, every: int) -> bool:
        return self.step == 1 or self.step % every == 0 or self.step == self.config.steps

    def _revive(self) -> None:
        """Lets features that are silent on the batches of the next steps begin anew."""
        if self.config.batch_norm:  # it keeps them active
            return
        silent = None
        for number in range(self.step + 1, self.step + 1 + math.ceil(REVIVE_PATCHES / self.config.batch_size)):
            batch = self.batches.draw(number)
            here = silent_features(self.network, batch.lr, batch.degradation_map)
            silent = here if silent is None else [a & b for a, b in zip(silent, here, strict=True)]
        if count := int(sum(layer.sum() for layer in silent)):
            generator = torch.Generator().manual_seed(self.config.seed + self.step)
            revive(self.network, self.ema, silent, batch.lr, batch.degradation_map, generator)
            tqdm.write(f"{count} features begin anew at step {self.step}: they were silent on every patch tried")

    def training_step(self) -> Tensor:
        """Learns from the batch of this step; its loss, still on the device."""
        loss = self.learn(self.batches.draw(self.step))
        self.update()
        return loss

    def backward(self, batch: Batch) -> Tensor:
        """The loss of a batch, and its gradients."""
        self.optimizer.zero_grad()
        self.network.train()
        loss = self.loss(batch.lr, batch.degradation_map, batch.hr)
        if self.precision == "fp16":
            loss.backward(torch.full_like(loss, FLOAT16_GAIN))
            for parameter in self.network.parameters():  # a batch that overflows all the same teaches little
                parameter.grad.div_(FLOAT16_GAIN).nan_to_num_(0, 0, 0)
        else:
            loss.backward()
        return loss.detach()

    def _loss(self, lr: Tensor, degradation_map: Tensor, hr: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            sr = self.network(lr, degradation_map)
        return F.l1_loss(sr, hr) if self.config.loss == "l1" else F.mse_loss(sr, hr)

    def update(self) -> None:
        """Takes the optimizer's step and averages the network."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.step()
        self._update_ema()

    def _learning_rate(self) -> float:
        """Warm-up, then a cosine to zero."""
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

    @torch.no_grad()
    def _validate(self, dashboard: Dashboard) -> dict[str, float]:
        """PSNR of Y of the EMA network and of bicubic upscaling, over one fixed batch of held-out pictures."""
        sr, hr = self._validation_sr(), self.validation_batch.hr
        bicubic = upsample(self.validation_batch.lr, self.config.scale_factor)
        dashboard.image("samples", self._samples(sr), "LR | bicubic | SR | HR")
        return {"psnr_y": _mean_psnr_y(sr, hr), "bicubic_psnr_y": _mean_psnr_y(bicubic, hr)}

    @torch.no_grad()
    def _validation_sr(self) -> Tensor:
        with autocast(self.device, self.precision):
            return self.ema(self.validation_batch.lr, self.validation_batch.degradation_map)

    def _samples(self, sr: Tensor) -> np.ndarray:
        lr, hr = self.validation_batch.lr, self.validation_batch.hr
        return sample_grid(lr[:SAMPLES], sr[:SAMPLES], hr[:SAMPLES], self.config.scale_factor)

    def _log(self, loss: float, images_per_s: float, bar: tqdm, dashboard: Dashboard) -> None:
        row = {"step": self.step, "loss": loss, "lr": self._learning_rate(), "images_per_s": images_per_s}
        if self._is_due(VALIDATE_EVERY):
            row |= self._validate(dashboard)
        self.folder.append(row)
        bar.set_postfix(loss=f"{loss:.4f}", images_per_s=f"{images_per_s:.1f}", refresh=False)
        self._show(row, dashboard)

    def _show(self, row: dict, dashboard: Dashboard) -> None:
        dashboard.curves("loss", row["step"], {"loss": row["loss"]})
        dashboard.curves("learning rate", row["step"], {"learning rate": row["lr"]})
        dashboard.curves("throughput", row["step"], {"images/s": row["images_per_s"]})
        if None not in (row.get("psnr_y"), row.get("bicubic_psnr_y")):
            scores = {"SRMD": row["psnr_y"], "bicubic": row["bicubic_psnr_y"]}
            dashboard.curves("validation PSNR of Y [dB]", row["step"], scores)

    def _save(self, loss: Tensor) -> None:
        """The EMA network ready to use, loss curve, samples; and last the checkpoint, for then all is there."""
        self._finite(loss)  # a network that has diverged must not take the place of a good one
        network = copy.deepcopy(self.ema).cpu()
        if self.precision == "bf16":
            round_as_autocast(network)
        metadata = {"version": VERSION, "command": self.config.command, "steps": self.step}
        metadata["downsampler"] = self.config.downsampler
        write_weights(self.folder.path / "last.safetensors", Weights(network, self.pca, metadata))
        draw_loss(self.folder.rows(), self.folder.path / "loss.png")
        make_folder(self.folder.path / "samples")
        samples = self._samples(self._validation_sr()) / 255
        write_picture(self.folder.path / "samples" / f"step-{self.step:07}.png", samples)
        state = {
            "version": VERSION,
            "step": self.step,
            "precision": self.precision,
            "downsampler": self.config.downsampler,
            "winograd": self.network.winograd,
            "network_config": asdict(self.network.config),
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pca": self.pca,
            "own_kernels": None if self.kernels.own is None else torch.from_numpy(self.kernels.own),
        }
        save_checkpoint(self.folder.checkpoint(self.step), state)
        self.folder.drop_old_checkpoints()

    def _newest_checkpoint(self) -> dict | None:
        """The newest checkpoint that is whole; broken newer ones are put aside, None where there never was one."""
        paths, broken = self.folder.checkpoints(), []
        for path in paths:
            try:
                state = load_checkpoint(path)
            except InputError as error:
                print(f"{error}; trying the one before")
                broken.append(path)
            else:
                for path in broken:
                    path.rename(path.with_suffix(".broken"))
                return state
        if broken:
            raise InputError(f"--resume: none of the {len(broken)} checkpoints in {self.folder.path} can be read")
        print(f"No checkpoint in {self.folder.path} yet: starting at step 1")
        return None

    # Testing.

    def test(self) -> None:
        """Restores LR pictures, or degrades HR pictures, restores them and scores the result."""
        weights = weights_to_test(self.config)
        network, config = weights.network, settled(self.config, weights)
        inputs = Inputs(config, 1 if config.input else least_side(network.config.scale))
        if config.save_kernel:
            with asked_by("--save_kernel"):
                make_folder(config.save_kernel.parent)
            save_kernels([kernel.array for kernel in config.kernel], config.save_kernel)
        engine = choose_engine(network, self.device, config.engine, config.precision)
        trial = Trial(config, engine, network.config, weights.pca)
        with asked_by("--output"):
            make_folder(config.output if config.input else config.output / "compare")
            if config.save_lr:
                make_folder(config.output / "lr")
        print(announcement(config, weights, engine))
        rows, reached, env = [], inputs.pixels_reached(), f"srmd_{config.output.name}"
        bar = tqdm(total=max(reached.values()), unit="px", unit_scale=True, disable=not sys.stderr.isatty())
        dashboard = open_dashboard(config.visdom, env, start_server=False, say=tqdm.write)
        with dashboard as dashboard, bar, Behind() as behind:
            for window, (picture, caption) in degradation_pictures(config).items():
                dashboard.image(window, picture, caption)
            for name, picture in ahead(inputs):
                if config.input:
                    row = trial.restore(name, picture, bar.update, behind)
                else:
                    row = trial.score(name, picture, dashboard, bar.update, behind)
                rows.append({"name": name} | row)
                bar.update(reached[name] - bar.n)  # also past those that were left out
            dashboard.text("scores", f"<pre>{html.escape(table(rows))}</pre>")
        write_metrics(config, network.config, engine, rows)
        print(f"{table(rows)}\nPictures and metrics.json are in {config.output}")
        if inputs.left_out:
            names = ", ".join(inputs.left_out)
            raise RuntimeError(f"{len(inputs.left_out)} of {len(inputs.paths)} pictures were left out: {names}")


def _mean_psnr_y(sr: Tensor, hr: Tensor) -> float:
    pairs = zip(sr.clamp(0, 1).cpu().double(), hr.cpu().double(), strict=True)
    return float(np.mean([psnr(luma(a.permute(1, 2, 0).numpy()), luma(b.permute(1, 2, 0).numpy())) for a, b in pairs]))
