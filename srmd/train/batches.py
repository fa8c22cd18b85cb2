"""Training batches: random crops with random degradations, and their degradation maps.

The CPU draws the positions of the crops, the changes of their colours, the kernels, the noise levels and the tables of
JPEGs: few numbers, which do not depend on the device. Pixels and noise, which are many numbers, are computed on the
device. A GPU works on one batch while the CPU draws the next.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from srmd.config import TrainConfig
from srmd.degradation import MAX_NOISE_LEVEL, Degradation, border, degradation_map, degrade
from srmd.jpeg.codec import Compression
from srmd.packs.reader import PackedPictures
from srmd.train.colours import COLOUR_SHARES, ColourShares, augment_colours
from srmd.train.jpegs import RandomJpegs, make_grey, random_jpegs
from srmd.train.kernels import GAUSSIANS, TrainingKernels
from srmd.train.memory import PicturesInMemory, to_device

CANDIDATES = 3  # random crops per sample, of which the most detailed one is used: flat crops teach little
ROUNDED_SHARE = 1 / 2  # share of samples whose LR is rounded to 8 bits, as in files; published tables do not round LR
NO_NOISE_SHARE = 1 / 3  # share of samples without noise; these teach the network most, because noise hides detail


class Batch(NamedTuple):
    """N samples to train on, in float32."""

    lr: Tensor  # (N, 3, h, w), not clipped
    degradation_map: Tensor  # (N, C, 1, 1)
    hr: Tensor  # (N, 3, s·h, s·w), 0 to 1
    kernels: Tensor  # (N, k, k), sum 1


class Batches:
    """The numbered batches of a run. A batch depends on the run's seed and its number only."""

    def __init__(
        self,
        pictures: PackedPictures | PicturesInMemory,
        config: TrainConfig,
        pca: Tensor,
        device: torch.device,
        kernels: TrainingKernels = GAUSSIANS,
        colours: ColourShares = COLOUR_SHARES,
    ):
        """`pca` is P, (pca_dim, size²), for kernels of size×size.

        Raises InputError if all pictures are too small, or if they can't be read.
        """
        self.pictures, self.config, self.pca, self.device = pictures, config, pca.to(device), device
        self.generator = None if device.type == "cpu" else torch.Generator(device)
        self.kernels, self.colours, self.border = kernels, colours, border(config.scale_factor, kernels.size)
        self.crop_size = (config.patch_size + 2 * self.border) * config.scale_factor  # HR pixels
        pictures.check_size(self.crop_size, f"which `patch_size={config.patch_size}` at x{config.scale_factor} needs")

    @torch.no_grad()
    def draw(self, number: int, part: slice = slice(None)) -> Batch:
        """Return the batch with the number `number`, or a part of its samples, for one of several processes.

        The numbers are drawn for all samples, so that the parts together are the whole batch. Pixels are computed for
        the part only.

        Crops are larger than patches by a border, which is cut off after degrading them: in the border, the LR of a
        crop differs from the LR of its picture, because blur and downsampling read pixels outside of the crop.
        """
        config, count, scale = self.config, self.config.batch_size, self.config.scale_factor
        rng = np.random.default_rng((config.seed, number))
        start, stop, _ = part.indices(count)
        windows = slice(CANDIDATES * start, CANDIDATES * stop)
        sampled = self.pictures.sample(rng, CANDIDATES * count, self.crop_size, windows)
        candidates = self._to_device(torch.as_tensor(sampled))
        crops = most_detailed(candidates.view(-1, CANDIDATES, *candidates.shape[1:]))
        hr = augment_colours(crops.permute(0, 3, 1, 2).float() / 255, rng, self.colours, slice(start, stop), count)
        drawn = random_degradation(rng, count, scale, config.conditions, self.kernels)
        jpegs = random_jpegs(rng, count).select(part) if "jpeg" in config.conditions else None
        rounded = torch.from_numpy(rng.random(count) < ROUNDED_SHARE)[part]
        noise = self._standard_normal(rng, (count, 3, self.crop_size // scale, self.crop_size // scale))[part]
        drawn = Degradation(drawn.kernels[part], drawn.noise_levels[part])
        hr, lr, degradation = self._degrade(hr, drawn, rounded, noise, jpegs)
        maps = degradation_map(degradation, self.pca, config.conditions)
        inner = slice(self.border, -self.border)
        inner_hr = slice(self.border * scale, -self.border * scale)
        lr = lr[..., inner, inner].contiguous(memory_format=torch.channels_last)
        return Batch(lr, maps, hr[..., inner_hr, inner_hr], degradation.kernels[:, 0])

    def _degrade(
        self, hr: Tensor, drawn: Degradation, rounded: Tensor, noise: Tensor, jpegs: RandomJpegs | None
    ) -> tuple[Tensor, Tensor, Degradation]:
        """Return HR, of which some samples are made grey, their LR, and the degradation on the device."""
        noise_levels, jpeg, compression = drawn.noise_levels, None, None
        if jpegs is not None:
            noise_levels = torch.where(jpegs.has_noise_removed[:, None], 0, noise_levels)
            rounded = rounded & ~jpegs.is_compressed
            is_grey = self._to_device(jpegs.is_grey)
            hr = make_grey(hr, is_grey)
            noise = torch.where(is_grey[:, None, None, None], noise[:, :1], noise)
            jpeg = self._to_device(jpegs.conditions)
            compression = Compression(*map(self._to_device, jpegs.compression))
        degradation = Degradation(self._to_device(drawn.kernels), self._to_device(noise_levels), jpeg=jpeg)
        rounded = self._to_device(rounded)
        lr = degrade(hr, degradation, self.config.scale_factor, self.config.downsampler, rounded, noise, compression)
        return hr, lr, degradation

    def _to_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.device)

    def _standard_normal(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers: from NumPy for a CPU, otherwise drawn on the device.

        NumPy would take longer to draw them than a GPU takes for a training step.
        """
        if self.generator is None:
            return torch.from_numpy(rng.standard_normal(shape, np.float32))
        self.generator.manual_seed(int(rng.integers(2**63)))
        return torch.randn(shape, generator=self.generator, device=self.generator.device)


def random_degradation(
    rng: np.random.Generator, count: int, scale: int, conditions: tuple[str, ...], kernels: TrainingKernels = GAUSSIANS
) -> Degradation:
    """Return `count` random kernels, (count, 1, size, size), and noise levels, (count, 1).

    Noise levels are 0 for a third of the samples, otherwise from 0 to 75. Without the condition `noise` all are 0.
    """
    drawn = kernels.draw(rng, count, scale)
    noise_levels, noisy = rng.uniform(0, MAX_NOISE_LEVEL, count), rng.random(count) >= NO_NOISE_SHARE
    if "noise" not in conditions:
        noisy[:] = False
    noise_levels[~noisy] = 0
    return Degradation.uniform(torch.from_numpy(drawn).float(), torch.from_numpy(noise_levels).float())


def most_detailed(candidates: Tensor) -> Tensor:
    """Return the most detailed of M candidates for each of N samples: uint8 (N, M, h, w, 3) → (N, h, w, 3).

    The detail of a crop is the sum of the absolute differences between neighbouring grey pixels.
    """
    grey = candidates[..., ::2, ::2, :].sum(-1, dtype=torch.int32)  # every other pixel is enough to compare
    detail = grey.diff(dim=-1).abs().sum((-2, -1)) + grey.diff(dim=-2).abs().sum((-2, -1))
    return candidates[torch.arange(len(candidates), device=candidates.device), detail.argmax(1)]
