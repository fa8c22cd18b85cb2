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
from srmd.degradation import Degradation, degrade, degrade_alpha, modcrop, seeded_noise, upsample
from srmd.evaluate.resize import final_size, resize_picture
from srmd.kernel.window import fit_kernel, stack_kernels
from srmd.pictures.files import write_picture
from srmd.pictures.maps import region_weights, to_lr_grid
from srmd.pictures.metrics import score
from srmd.pictures.picture import Picture, as_floats, has_equal_channels, quantise
from srmd.pictures.transparency import spread_visible_colours
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

    def restore(self, name: str, picture: Picture, progress: Progress) -> tuple[np.ndarray, np.ndarray | None, float]:
        """Restores an LR picture.

        Returns the result (height, width, 3 or 1) and its alpha (height, width), in the dtypes of the picture and in
        the size that is asked for, and the seconds that this took. `name` is for error messages.
        """
        start = time.perf_counter()
        lr, alpha = picture.pixels, picture.alpha
        hr_size = self.scale * lr.shape[0], self.scale * lr.shape[1]
        size = final_size(lr.shape[:2], self.scale, self.request.outscale, self.request.size)
        if alpha is not None:
            lr = spread_visible_colours(lr, alpha)
            alpha = self._restore_alpha(name, alpha, hr_size, progress)
        one_channel = has_equal_channels(lr)
        # Before it is resized, the result has 16 bits, so that it is not rounded to 8 bits twice.
        sr = np.empty((*hr_size, 1 if one_channel else 3), lr.dtype if size == hr_size else np.uint16)
        for rows, columns, sr_tile in self._tiles(name, lr, hr_size):
            sr[rows, columns] = quantise(sr_tile, sr.dtype, one_channel)
            progress(sr_tile.shape[0] * sr_tile.shape[1] // self.scale**2)
        if size != hr_size:
            sr = resize_picture(sr, size, lr.dtype)
            alpha = None if alpha is None else resize_picture(alpha[..., None], size, alpha.dtype)[..., 0]
        return sr, alpha, time.perf_counter() - start

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
        writer.submit(self._write, name, picture, to_array(sr), to_array(lr), sheet, applied)
        bicubic_scores = {f"bicubic_{key}": bicubic_scores[key] for key in ("psnr_y", "ssim_y")}
        return scores | bicubic_scores | {"seconds": seconds}

    def _tiles(self, name: str, lr: np.ndarray, hr_size: tuple[int, int]) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """The rows and columns of each tile of SR, and its pixels, (tile height, tile width, 3)."""
        assumed = self._assumed(name, hr_size)
        tiles = self.restorer.restore_tiles(lr, assumed, self.request.tile, self.request.self_ensemble)
        for rows, columns, sr_tile in tiles:
            yield rows, columns, to_array(sr_tile)

    def _restore_alpha(self, name: str, alpha: np.ndarray, hr_size: tuple[int, int], progress: Progress) -> np.ndarray:
        """Alpha (h, w) restored to `hr_size`."""
        assumed, request = self._assumed(name, hr_size), self.request
        return self.restorer.restore_alpha(alpha, assumed, request.tile, request.self_ensemble, progress)

    def _assumed(self, name: str, hr_size: tuple[int, int]) -> Degradation:
        """The degradation that the network is told of a picture whose HR has the height and width `hr_size`."""
        return self._degradation(self.assumed_kernels, self.settings.assumed, name, hr_size)

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

    def _write(
        self,
        name: str,
        picture: Picture,
        sr: np.ndarray,
        lr: np.ndarray,
        sheet: np.ndarray,
        applied: Degradation,
    ) -> None:
        """Writes SR with the alpha of HR, the comparison, and LR with degraded alpha."""
        output, file, alpha = self.request.output, f"{name}.png", picture.alpha
        sr_alpha = None if alpha is None else alpha[: sr.shape[0], : sr.shape[1]]
        write_picture(output / file, sr, picture, sr_alpha)
        write_picture(output / "compare" / file, sheet)
        if self.request.save_lr:
            lr_alpha = None
            if alpha is not None:
                degraded = degrade_alpha(as_floats(alpha), applied, self.scale, self.settings.downsampler)
                lr_alpha = quantise(degraded, alpha.dtype)
            write_picture(output / "lr" / file, lr, picture, lr_alpha)


def hr_tensor(picture: Picture, scale: int) -> Tensor:
    """An HR picture as (1, 3, s·h, s·w), float64, in 0 to 1; rows and columns that fill no LR pixel are cut off."""
    return modcrop(torch.from_numpy(picture.as_floats()).permute(2, 0, 1)[None], scale)


def to_array(picture: Tensor) -> np.ndarray:
    """A picture (1, C, H, W) as an array (H, W, C) that shares its memory."""
    return picture[0].permute(1, 2, 0).numpy()
