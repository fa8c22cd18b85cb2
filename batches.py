"""What a network is trained on: random crops under random degradations, and what it is told of them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from config import TrainConfig
from data_loader import PackedPictures
from degradation import GAUSSIANS, border, degradation_map, degrade, random_degradation
from training_kernels import TrainingKernels

ROUNDED_SHARE = 1 / 2  # of the samples: LR pictures from files are rounded to 8 bits, those of the tables are not


class Batch(NamedTuple):
    """Patches to train on."""

    lr: Tensor  # (N, 3, h, w)
    degradation_map: Tensor  # (N, C, 1, 1)
    hr: Tensor  # (N, 3, s·h, s·w)
    kernels: Tensor  # (N, k, k)


class Batches:
    """The batches of a run by their number; each is a function of the run's seed and that number alone."""

    def __init__(
        self,
        pictures: PackedPictures,
        config: TrainConfig,
        pca: Tensor,
        device: torch.device,
        kernels: TrainingKernels = GAUSSIANS,
    ):
        self.pictures, self.config, self.pca, self.device = pictures, config, pca.to(device), device
        self.kernels, self.border = kernels, border(config.scale_factor, kernels.size)
        self.crop = (config.patch_size + 2 * self.border) * config.scale_factor  # HR pixels
        pictures.sample(np.random.default_rng(0), 1, self.crop)  # says when all pictures are too small

    @torch.no_grad()
    def draw(self, number: int) -> Batch:
        """A batch without the border where the degradation of a crop differs from that of its picture."""
        config, count, scale = self.config, self.config.batch_size, self.config.scale_factor
        rng = np.random.default_rng((config.seed, number))
        crops = torch.from_numpy(self.pictures.sample(rng, count, self.crop)).to(self.device)
        hr = crops.permute(0, 3, 1, 2).float() / 255
        degradation = random_degradation(rng, count, scale, config.noise_free, self.kernels).to(self.device)
        rounded = torch.from_numpy(rng.random(count) < ROUNDED_SHARE).to(self.device)
        noise_shape = (count, 3, self.crop // scale, self.crop // scale)
        noise = torch.from_numpy(rng.standard_normal(noise_shape, np.float32)).to(self.device)
        lr = degrade(hr, degradation, scale, config.downsampler, rounded, noise)
        told = degradation_map(degradation, self.pca, config.noise_free)
        inner, inner_hr = slice(self.border, -self.border), slice(self.border * scale, -self.border * scale)
        lr = lr[..., inner, inner].contiguous(memory_format=torch.channels_last)
        return Batch(lr, told, hr[..., inner_hr, inner_hr], degradation.kernels[:, 0])
