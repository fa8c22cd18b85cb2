"""`Solver`: owns network, optimizer, degradation and data; trains, and tests."""

import copy
import math
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from batches import Batch, Batches
from config import VERSION, TestConfig, TrainConfig
from dashboard import Dashboard, open_dashboard
from data_loader import PackedPictures, builtin_test_pictures, open_training_data
from degradation import Degradation, degradation_map, degrade, modcrop, upsample
from engine import autocast, choose_device, choose_precision, torch_engine
from errors import InputError, Stopped, asked_by
from images import Picture, list_pictures, read_picture, write_picture
from kernel import fit_kernel, read_pca
from metrics import luma, psnr, score
from model import SRMD, NetworkConfig
from report import announcement, comparison, draw_loss, kernel_picture, sample_grid, table, to_rgb8, write_metrics
from restore import restore
from run_folder import RunFolder
from signals import stop_requests
from weights import Weights, load_checkpoint, read_weights, save_checkpoint, start_from, write_weights

HERE = Path(__file__).parent
LOG_EVERY = 10
VALIDATE_EVERY = 100
WARM_UP = 100  # steps
EMA_DECAY = 0.999
SAMPLES = 4  # of the validation batch that are shown
SMALLEST = 11  # pixels: the window of SSIM


class Solver:
    """A network with its P, on a device, trained or tested as a configuration says."""

    def __init__(self, config: TrainConfig | TestConfig):
        self.config = config
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        torch.manual_seed(config.seed)
        self.network, self.pca = _fresh(config) if isinstance(config, TrainConfig) else _trained(config)

    # Training. Every batch is a function of the seed and the step's number, which makes resuming exact.

    def train(self) -> None:
        """Trains to the last step; a signal ends it early, after saving."""
        config = self.config
        self.folder = RunFolder(config.output)
        with self.folder.locked():
            with asked_by("--train_data"):
                self.begin(*open_training_data(config.train_data).split())
            self.folder.write_config(config)
            if config.resume is not None and not self._resume():
                return
            name = f"srmd_{self.folder.path.name}"
            print(f"Training in {self.folder.path} on {self.device} in {self.precision}, {config.steps} steps")
            with open_dashboard(config.visdom, name, start_server=True, say=tqdm.write) as dashboard:
                self._train(dashboard)
        print(f"{self.folder.path} holds the network, last.safetensors, and the loss curve, loss.png")

    def begin(self, training: PackedPictures, validation: PackedPictures) -> None:
        """Sets up everything that a training step needs, at step 0."""
        config = self.config
        self.network.to(self.device, memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr, fused=True)
        self.step = 0
        self.batches = Batches(training, config, self.pca, self.device)
        if not validation.usable(self.batches.crop):
            validation = training
        self.validation_batch = Batches(validation, config, self.pca, self.device).draw(0)

    def _train(self, dashboard: Dashboard) -> None:
        config = self.config
        for row in self.folder.rows():  # of a run that is resumed
            self._show(row, dashboard)
        kernels = self.validation_batch.kernels[:SAMPLES].cpu().numpy()
        dashboard.image("kernels", kernel_picture(kernels), "kernels of the samples")
        clock, images = time.perf_counter(), 0
        bar = tqdm(total=config.steps, initial=self.step, unit="step", mininterval=0.5 if sys.stderr.isatty() else 10)
        with stop_requests() as stop, bar:
            while self.step < config.steps and not stop:
                self.step += 1
                loss = self.training_step()
                images += config.batch_size
                bar.update()
                last = self.step == config.steps
                if self._is_due(LOG_EVERY):
                    row = {"step": self.step, "loss": loss.item(), "lr": self._learning_rate()}
                    row["images_per_s"] = images / (time.perf_counter() - clock)
                    if self._is_due(VALIDATE_EVERY):
                        row |= self._validate(dashboard)
                    self._log(row, bar, dashboard)
                    clock, images = time.perf_counter(), 0
                if self.step % config.save_every == 0 or last or stop:
                    self._save()
        if stop and self.step < config.steps:
            raise Stopped(stop[0])

    def _is_due(self, every: int) -> bool:
        return self.step == 1 or self.step % every == 0 or self.step == self.config.steps

    def training_step(self) -> Tensor:
        """Learns from the batch of this step; its loss, still on the device."""
        loss = self.backward(self.batches.draw(self.step))
        self.update()
        return loss

    def backward(self, batch: Batch) -> Tensor:
        """The loss of a batch, and its gradients."""
        self.optimizer.zero_grad()
        self.network.train()
        with autocast(self.device, self.precision):
            sr = self.network(batch.lr, batch.degradation_map)
        loss = F.l1_loss(sr, batch.hr) if self.config.loss == "l1" else F.mse_loss(sr, batch.hr)
        loss.backward()
        return loss.detach()

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

    def _log(self, row: dict, bar: tqdm, dashboard: Dashboard) -> None:
        self.folder.append(row)
        bar.set_postfix(loss=f"{row['loss']:.4f}", images_per_s=f"{row['images_per_s']:.1f}", refresh=False)
        self._show(row, dashboard)

    def _show(self, row: dict, dashboard: Dashboard) -> None:
        dashboard.curves("loss", row["step"], {"loss": row["loss"]})
        dashboard.curves("learning rate", row["step"], {"learning rate": row["lr"]})
        dashboard.curves("throughput", row["step"], {"images/s": row["images_per_s"]})
        if "psnr_y" in row:
            scores = {"SRMD": row["psnr_y"], "bicubic": row["bicubic_psnr_y"]}
            dashboard.curves("validation PSNR of Y [dB]", row["step"], scores)

    def _save(self) -> None:
        """The checkpoint, the EMA network ready to use, the loss curve and samples."""
        state = {
            "version": VERSION,
            "step": self.step,
            "network_config": asdict(self.network.config),
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pca": self.pca,
        }
        save_checkpoint(self.folder.checkpoint(self.step), state)
        self.folder.drop_old_checkpoints()
        metadata = {"version": VERSION, "command": _command(), "steps": self.step}
        write_weights(self.folder.path / "last.safetensors", Weights(self.ema, self.pca, metadata))
        draw_loss(self.folder.rows(), self.folder.path / "loss.png")
        (self.folder.path / "samples").mkdir(exist_ok=True)
        samples = self._samples(self._validation_sr()) / 255
        write_picture(self.folder.path / "samples" / f"step-{self.step:07}.png", samples)

    def _resume(self) -> bool:
        """Goes on from the newest whole checkpoint; False where the run is finished."""
        for path in self.folder.checkpoints():
            try:
                state = load_checkpoint(path)
            except InputError as error:
                print(f"{error}; trying the one before")
                continue
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.ema.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.pca = state["pca"]
            break
        else:
            print(f"No checkpoint in {self.folder.path} yet: starting at step 1")
        self.folder.drop_rows_after(self.step)
        if self.step >= self.config.steps:
            print(f"The run in {self.folder.path} is finished: {self.step} steps")
            return False
        return True

    # Testing.

    def test(self) -> None:
        """Restores LR pictures, or degrades HR pictures, restores them and scores the result."""
        config = self.config
        pictures = _test_pictures(config)
        self.engine = torch_engine(self.network, self.device, self.precision)
        self.told = self._assumed_map()
        for folder in [] if config.input else ["compare", "lr"] if config.save_lr else ["compare"]:
            (config.output / folder).mkdir(parents=True, exist_ok=True)
        config.output.mkdir(parents=True, exist_ok=True)
        print(announcement(config, self.network.config, self.engine))
        rows = []
        with open_dashboard(
            config.visdom, f"srmd_{config.output.name}", start_server=False, say=tqdm.write
        ) as dashboard:
            dashboard.image("kernel", kernel_picture(config.kernel.array[None]), f"kernel: {config.kernel.spec}")
            for name, source in tqdm(pictures.items(), unit="picture", disable=not sys.stderr.isatty()):
                with asked_by("--input" if config.input else "--test_data"):
                    picture = read_picture(source) if isinstance(source, Path) else Picture(source)
                row = self._restore(name, picture) if config.input else self._score(name, picture, dashboard)
                rows.append({"name": name} | row)
            text = table(rows)
            dashboard.text("scores", f"<pre>{text}</pre>")
        write_metrics(config, self.network.config, self.engine, _command(), rows)
        print(f"{text}\nPictures and metrics.json are in {config.output}")

    def _assumed_map(self) -> Tensor:
        """The degradation map that the network is told, (1, C, 1, 1)."""
        config, network = self.config, self.network.config
        kernel = fit_kernel(config.assumed_kernel.array, network.kernel_size)
        assumed = Degradation.uniform(
            torch.from_numpy(kernel)[None].float(), torch.tensor([config.assumed_noise_level])
        )
        return degradation_map(assumed, self.pca, network.noise_free)

    def _restore(self, name: str, picture: Picture) -> dict:
        """An LR picture to a file; the seconds that it took."""
        sr, seconds = self._timed_restore(torch.from_numpy(picture.to_float()).permute(2, 0, 1)[None].float())
        write_picture(self.config.output / f"{name}.png", _array(sr), like=picture)
        return {"seconds": seconds}

    def _timed_restore(self, lr: Tensor) -> tuple[Tensor, float]:
        start = time.perf_counter()
        return restore(self.engine, lr, self.told), time.perf_counter() - start

    def _score(self, name: str, picture: Picture, dashboard: Dashboard) -> dict:
        """An HR picture degraded and restored; scores of SR and of bicubic upscaling."""
        config, scale = self.config, self.engine.scale
        hr = modcrop(torch.from_numpy(picture.to_float()).permute(2, 0, 1)[None], scale)
        if min(hr.shape[-2:]) < SMALLEST + 2 * scale:
            raise InputError(f"--test_data: {name}: expected sides of at least {SMALLEST + 2 * scale} pixels")
        lr = degrade(hr, self._applied(), scale, config.downsampler, noise=_scoring_noise(config.seed, hr, scale))
        sr, seconds = self._timed_restore(lr.float())
        bicubic = upsample(lr, scale)
        scores, bicubic_scores = (score(_array(restored), _array(hr), scale) for restored in (sr, bicubic))
        enlarged = F.interpolate(lr, scale_factor=scale, mode="nearest")
        panels = {"LR": enlarged, f"bicubic {bicubic_scores['psnr_y']:.2f} dB": bicubic}
        panels |= {f"SRMD {scores['psnr_y']:.2f} dB": sr, "HR": hr}
        sheet = comparison({label: to_rgb8(panel[0]) for label, panel in panels.items()})
        dashboard.image(name, sheet, f"{name}: {' | '.join(panels)}")
        write_picture(config.output / f"{name}.png", _array(sr), like=picture)
        write_picture(config.output / "compare" / f"{name}.png", sheet / 255)
        if config.save_lr:
            write_picture(config.output / "lr" / f"{name}.png", _array(lr), like=picture)
        bicubic_scores = {f"bicubic_{key}": bicubic_scores[key] for key in ("psnr_y", "ssim_y")}
        return scores | bicubic_scores | {"seconds": seconds}

    def _applied(self) -> Degradation:
        kernel = torch.from_numpy(self.config.kernel.array)
        return Degradation.uniform(kernel[None], torch.tensor([self.config.noise_level]))


def _fresh(config: TrainConfig) -> tuple[SRMD, Tensor]:
    """A network to train: as new with the project's P, or started from other weights, P included."""
    network = SRMD(NetworkConfig(config.scale_factor, config.head, config.noise_free, config.batch_norm))
    if config.weights is None:
        return network, torch.from_numpy(read_pca(HERE / "kernels" / "pca.mat"))
    with asked_by("--weights"):
        source = read_weights(config.weights)
        if source.pca is None:
            raise InputError(f"{config.weights}: expected weights with their P, found a format that carries none")
    start_from(network, source.network)
    return network, source.pca


def _trained(config: TestConfig) -> tuple[SRMD, Tensor]:
    """A network to test, with the P that belongs to it."""
    with asked_by("--weights"):
        weights = read_weights(config.weights)
    network, pca = weights.network.config, weights.pca
    if config.scale_factor not in (None, network.scale):
        raise InputError(f"--scale_factor: {config.weights} is for x{network.scale}, found {config.scale_factor}")
    if network.noise_free and config.input and config.noise_level:
        raise InputError(f"--noise_level: {config.weights} is noise-free (SRMDNF), found {config.noise_level:g}")
    if (pca is None) != (config.pca is not None):
        needed = "needed: the weights carry no P" if pca is None else "not needed: the weights carry their own P"
        raise InputError(f"--pca: {needed} ({config.weights})")
    if pca is None:
        with asked_by("--pca"):
            pca = torch.from_numpy(read_pca(config.pca))
    return weights.network, pca


def _test_pictures(config: TestConfig) -> dict[str, Path | np.ndarray]:
    """Pictures by the name of their result: files, or the held-out built-in photos."""
    if not config.input and config.test_data is None:
        return builtin_test_pictures()
    with asked_by("--input" if config.input else "--test_data"):
        sources = config.input or [config.test_data]
        found = [path for source in sources for path in (list_pictures(source) if source.is_dir() else [source])]
        paths = list(dict.fromkeys(found))
    return {_result_name(path, paths): path for path in paths}


def _result_name(path: Path, paths: list[Path]) -> str:
    """The shortest of stem, name and whole path that no other picture shares."""
    for name in (lambda p: p.stem, lambda p: p.name):
        if [name(other) for other in paths].count(name(path)) == 1:
            return name(path)
    return "_".join(path.with_suffix("").parts).lstrip("/_.")


def _scoring_noise(seed: int, hr: Tensor, scale: int) -> Tensor:
    """A standard normal draw of LR's shape, the same for every picture of that size."""
    height, width = hr.shape[-2] // scale, hr.shape[-1] // scale
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((height, width, 3))
    return torch.from_numpy(noise).permute(2, 0, 1)[None]


def _array(picture: Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).numpy()


def _mean_psnr_y(sr: Tensor, hr: Tensor) -> float:
    pairs = zip(sr.clamp(0, 1).cpu().double(), hr.cpu().double(), strict=True)
    return float(np.mean([psnr(luma(a.permute(1, 2, 0).numpy()), luma(b.permute(1, 2, 0).numpy())) for a, b in pairs]))


def _command() -> str:
    return shlex.join(["python", *sys.argv])
