"""What a network is trained on: random crops under random degradations, and what it is told of them.

The host draws where crops lie, kernels and noise levels: little, and the same on every device. What is large, pixels
and noise, is made on the device; on a GPU the host only queues that work, and draws the next batch meanwhile.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from srmd.config import TrainConfig
from srmd.data_loader import PackedPictures
from srmd.degradation import Degradation, border, degradation_map, degrade
from srmd.train.kernels import GAUSSIANS, TrainingKernels
from srmd.train.memory import PicturesInMemory, to_device

# Crops for each that is learnt from, the one with the most detail: a flat one teaches little.
CANDIDATES = 3
ROUNDED_SHARE = 1 / 2  # of the samples: LR pictures from files are rounded to 8 bits, those of the tables are not
MAX_NOISE_LEVEL = 75
NO_NOISE_SHARE = 1 / 3  # of the samples: without noise there is the most to learn


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
        pictures: PackedPictures | PicturesInMemory,
        config: TrainConfig,
        pca: Tensor,
        device: torch.device,
        kernels: TrainingKernels = GAUSSIANS,
    ):
        self.pictures, self.config, self.pca, self.device = pictures, config, pca.to(device), device
        self.generator = None if device.type == "cpu" else torch.Generator(device)
        self.kernels, self.border = kernels, border(config.scale_factor, kernels.size)
        self.crop_size = (config.patch_size + 2 * self.border) * config.scale_factor  # HR pixels
        pictures.sample(np.random.default_rng(0), 1, self.crop_size)  # says when all pictures are too small

    @torch.no_grad()
    def draw(self, number: int) -> Batch:
        """A batch without the border where the degradation of a crop differs from that of its picture."""
        config, count, scale = self.config, self.config.batch_size, self.config.scale_factor
        rng = np.random.default_rng((config.seed, number))
        candidates = self._to_device(torch.as_tensor(self.pictures.sample(rng, CANDIDATES * count, self.crop_size)))
        crops = most_detailed(candidates.view(count, CANDIDATES, *candidates.shape[1:]))
        hr = crops.permute(0, 3, 1, 2).float() / 255
        chosen = random_degradation(rng, count, scale, config.conditions, self.kernels)
        degradation = Degradation(self._to_device(chosen.kernels), self._to_device(chosen.noise_levels))
        rounded = self._to_device(torch.from_numpy(rng.random(count) < ROUNDED_SHARE))
        noise = self._noise(rng, (count, 3, self.crop_size // scale, self.crop_size // scale))
        lr = degrade(hr, degradation, scale, config.downsampler, rounded, noise)
        maps = degradation_map(degradation, self.pca, config.conditions)
        inner, inner_hr = slice(self.border, -self.border), slice(self.border * scale, -self.border * scale)
        lr = lr[..., inner, inner].contiguous(memory_format=torch.channels_last)
        return Batch(lr, maps, hr[..., inner_hr, inner_hr], degradation.kernels[:, 0])

    def _to_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.device)

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """A standard normal draw: by NumPy on a CPU, and on a GPU, whose steps are shorter than that, by itself."""
        if self.generator is None:
            return torch.from_numpy(rng.standard_normal(shape, np.float32))
        self.generator.manual_seed(int(rng.integers(2**63)))
        return torch.randn(shape, generator=self.generator, device=self.generator.device)


def random_degradation(
    rng: np.random.Generator, count: int, scale: int, conditions: tuple[str, ...], kernels: TrainingKernels = GAUSSIANS
) -> Degradation:
    """Random kernels and noise levels: 0 to 75, one in three 0; without noise where the network is not told of it."""
    drawn = kernels.draw(rng, count, scale)
    noise_levels, noisy = rng.uniform(0, MAX_NOISE_LEVEL, count), rng.random(count) >= NO_NOISE_SHARE
    if "noise" not in conditions:
        noisy[:] = False
    noise_levels[~noisy] = 0
    return Degradation.uniform(torch.from_numpy(drawn).float(), torch.from_numpy(noise_levels).float())


def most_detailed(candidates: Tensor) -> Tensor:
    """Of crops (N, M, h, w, 3) uint8, of each M the one that changes most from pixel to pixel: (N, h, w, 3)."""
    grey = candidates[..., ::2, ::2, :].sum(-1, dtype=torch.int32)  # every other pixel tells as much
    detail = grey.diff(dim=-1).abs().sum((-2, -1)) + grey.diff(dim=-2).abs().sum((-2, -1))
    return candidates[torch.arange(len(candidates), device=candidates.device), detail.argmax(1)]
