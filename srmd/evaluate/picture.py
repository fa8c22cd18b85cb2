"""Degrades, restores and scores one picture of a test."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srmd.base.background import BackgroundWriter
from srmd.base.errors import prefix_errors
from srmd.config import NamedDegradation, NamedMap, TestSettings
from srmd.degradation import Degradation, degrade, modcrop, seeded_noise, upsample
from srmd.evaluate.resize import final_size, resize_picture
from srmd.kernel.window import fit_kernel, stack_kernels
from srmd.pictures.files import write_picture
from srmd.pictures.maps import region_weights, to_lr_grid
from srmd.pictures.metrics import score
from srmd.pictures.picture import Picture, quantise
from srmd.restore.restorer import Restorer
from srmd.show.dashboard import Dashboard
from srmd.show.pictures import comparison, to_rgb8

Progress = Callable[[int], object]  # takes the number of input pixels that were finished since the last call


class PictureEvaluation:
    """Evaluates the pictures of a test, one at a time: LR pictures by `restore`, HR pictures by `score`."""

    def __init__(self, settings: TestSettings, restorer: Restorer):
        self.settings, self.request, self.restorer = settings, settings.request, restorer
        self.scale, size = restorer.config.scale, restorer.config.kernel_size
        self.applied_kernels = torch.from_numpy(stack_kernels([kernel.array for kernel in settings.applied.kernels]))
        fitted = [fit_kernel(kernel.array, size) for kernel in settings.assumed.kernels]
        self.assumed_kernels = torch.from_numpy(np.stack(fitted))

    def restore(self, name: str, picture: Picture, progress: Progress) -> tuple[np.ndarray, float]:
        """Restores an LR picture.

        Returns the result, (height, width, 3 or 1) in the dtype of the picture and in the size that is asked for, and
        the seconds that this took. `name` is for error messages.
        """
        start = time.perf_counter()
        size = final_size(picture.pixels.shape[:2], self.scale, self.request.outscale, self.request.size)
        sr = picture.empty_result(self.scale)
        is_resized = sr.shape[:2] != size
        if is_resized:
            sr = np.empty(sr.shape, np.uint16)  # finer than 8 bits, so that resizing adds no second rounding
        for rows, columns, sr_tile in self._tiles(name, picture.pixels, sr.shape[:2]):
            sr[rows, columns] = quantise(sr_tile, sr.dtype, picture.grey)
            progress(sr_tile.shape[0] * sr_tile.shape[1] // self.scale**2)
        if is_resized:
            sr = resize_picture(sr, size, picture.pixels.dtype)
        return sr, time.perf_counter() - start

    def score(
        self, name: str, picture: Picture, dashboard: Dashboard, progress: Progress, writer: BackgroundWriter
    ) -> dict:
        """Degrades an HR picture, restores it, and writes SR, the comparison and, with `save_lr`, LR.

        Returns the scores of SR and of bicubic upscaling, and `seconds`: the time of the restoration.
        """
        scale, size = self.scale, picture.pixels.shape[:2]
        hr = hr_tensor(picture, scale)
        applied = self._degradation(self.applied_kernels, self.settings.applied, name, size)
        noise = seeded_noise(self.request.seed, hr, scale)
        lr = degrade(hr, applied, scale, self.settings.downsampler, noise=noise)
        start = time.perf_counter()
        sr = torch.empty_like(hr, dtype=torch.float32)
        for rows, columns, sr_tile in self._tiles(name, to_array(lr), size):
            to_array(sr)[rows, columns] = sr_tile
            progress(sr_tile.shape[0] * sr_tile.shape[1])
        seconds = time.perf_counter() - start
        bicubic = upsample(lr, scale)
        scores, bicubic_scores = (score(to_array(restored), to_array(hr), scale) for restored in (sr, bicubic))
        enlarged = F.interpolate(lr, scale_factor=scale, mode="nearest")
        panels = {"LR": enlarged, f"bicubic {bicubic_scores['psnr_y']:.2f} dB": bicubic}
        panels |= {f"SRMD {scores['psnr_y']:.2f} dB": sr, "HR": hr}
        sheet = comparison({label: to_rgb8(panel[0]) for label, panel in panels.items()})
        dashboard.image(f"picture {name}", sheet, f"{name}: {' | '.join(panels)}")
        writer.submit(self._write, name, picture, to_array(sr), to_array(lr), sheet)
        bicubic_scores = {f"bicubic_{key}": bicubic_scores[key] for key in ("psnr_y", "ssim_y")}
        return scores | bicubic_scores | {"seconds": seconds}

    def _tiles(self, name: str, lr: np.ndarray, hr_size: tuple[int, int]) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """The rows and columns of each tile of SR, and its pixels, (tile height, tile width, 3)."""
        assumed = self._degradation(self.assumed_kernels, self.settings.assumed, name, hr_size)
        tiles = self.restorer.restore_tiles(lr, assumed, self.request.tile, self.request.self_ensemble)
        for rows, columns, sr_tile in tiles:
            yield rows, columns, to_array(sr_tile)

    def _degradation(
        self, kernels: Tensor, named: NamedDegradation, name: str, hr_size: tuple[int, int]
    ) -> Degradation:
        """The degradation of one picture, with kernels (M, k, k); `hr_size` is the height and width of its HR.

        Regions and noise map are brought to the LR grid. Raises InputError if their size does not fit the picture.
        """
        count, weights, noise = len(kernels), None, named.noise
        if count > 1:
            with prefix_errors("regions"), prefix_errors(f"{named.regions.path} for {name}"):
                weights = region_weights(named.regions.values, count, hr_size, self.scale, named.region_blend)
            weights = torch.from_numpy(weights)[None]
        if isinstance(noise, NamedMap):
            with prefix_errors("noise_map"), prefix_errors(f"{noise.path} for {name}"):
                noise_map = torch.from_numpy(to_lr_grid(noise.values, hr_size, self.scale))
                noise_levels = noise_map.expand(1, count, -1, -1)
        else:
            noise_levels = torch.full((1, count), noise, dtype=torch.float64)
        return Degradation(kernels[None], noise_levels, weights)

    def _write(self, name: str, picture: Picture, sr: np.ndarray, lr: np.ndarray, sheet: np.ndarray) -> None:
        output, file = self.request.output, f"{name}.png"
        write_picture(output / file, sr, source=picture)
        write_picture(output / "compare" / file, sheet)
        if self.request.save_lr:
            write_picture(output / "lr" / file, lr, source=picture)


def hr_tensor(picture: Picture, scale: int) -> Tensor:
    """An HR picture as (1, 3, s·h, s·w), float64, in 0 to 1; rows and columns that fill no LR pixel are cut off."""
    return modcrop(torch.from_numpy(picture.as_floats()).permute(2, 0, 1)[None], scale)


def to_array(picture: Tensor) -> np.ndarray:
    """A picture (1, C, H, W) as an array (H, W, C) that shares its memory."""
    return picture[0].permute(1, 2, 0).numpy()
